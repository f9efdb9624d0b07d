unit_programs =					\
	tests/unit/test_base_buf		\
	tests/unit/test_base_error		\
	tests/unit/test_base_hash		\
	tests/unit/test_base_heap		\
	tests/unit/test_base_id			\
	tests/unit/test_base_list		\
	tests/unit/test_base_log		\
	tests/unit/test_base_mutex		\
	tests/unit/test_base_pool		\
	tests/unit/test_base_role		\
	tests/unit/test_base_utf8		\
	tests/unit/test_cli_bench		\
	tests/unit/test_cli_print		\
	tests/unit/test_client_client		\
	tests/unit/test_client_frame		\
	tests/unit/test_client_mux		\
	tests/unit/test_client_reply		\
	tests/unit/test_client_conn		\
	tests/unit/test_core_batch		\
	tests/unit/test_core_catalog		\
	tests/unit/test_core_cursor		\
	tests/unit/test_core_graph		\
	tests/unit/test_core_lane		\
	tests/unit/test_core_lane_units		\
	tests/unit/test_core_random		\
	tests/unit/test_core_record		\
	tests/unit/test_core_orm		\
	tests/unit/test_core_scenarios		\
	tests/unit/test_core_subscribe		\
	tests/unit/test_core_unit		\
	tests/unit/test_core_watch		\
	tests/unit/test_db_array		\
	tests/unit/test_db_cell			\
	tests/unit/test_db_locks		\
	tests/unit/test_db_pgerror		\
	tests/unit/test_db_rows			\
	tests/unit/test_db_stmts		\
	tests/unit/test_db_with			\
	tests/unit/test_offload_mailbox		\
	tests/unit/test_offload_thread		\
	tests/unit/test_ops_config		\
	tests/unit/test_ops_logsink		\
	tests/unit/test_orm_blame		\
	tests/unit/test_orm_catalog		\
	tests/unit/test_orm_injection		\
	tests/unit/test_orm_key			\
	tests/unit/test_orm_keyed		\
	tests/unit/test_orm_ref			\
	tests/unit/test_orm_refusals		\
	tests/unit/test_orm_rules		\
	tests/unit/test_orm_sqltext		\
	tests/unit/test_orm_verb		\
	tests/unit/test_orm_with		\
	tests/unit/test_resp_encode		\
	tests/unit/test_resp_request		\
	tests/unit/test_resp_value

tests_unit_test_base_buf_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_error_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_hash_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_heap_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_id_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_list_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_log_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_mutex_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_pool_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_role_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_base_utf8_LDADD = $(base_libs) $(CMOCKA_LIBS)
tests_unit_test_cli_bench_LDADD = $(cli_libs) $(CMOCKA_LIBS)
tests_unit_test_cli_print_LDADD = $(cli_libs) $(CMOCKA_LIBS)
tests_unit_test_cli_print_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_client_client_LDADD = $(client_libs) $(CMOCKA_LIBS)
tests_unit_test_client_frame_LDADD = $(client_libs) $(CMOCKA_LIBS)
tests_unit_test_client_mux_LDADD = $(client_libs) $(CMOCKA_LIBS)
tests_unit_test_client_reply_LDADD = $(client_libs) $(CMOCKA_LIBS)
tests_unit_test_client_conn_LDADD = $(client_libs) $(CMOCKA_LIBS)
tests_unit_test_core_batch_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_catalog_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_cursor_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_graph_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_lane_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_lane_units_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_random_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_record_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_orm_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_scenarios_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_subscribe_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_unit_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_core_watch_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_unit_test_db_array_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_array_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_cell_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_cell_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_locks_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_locks_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_pgerror_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_pgerror_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_rows_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_rows_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_stmts_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_stmts_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_db_with_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
tests_unit_test_db_with_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_unit_test_offload_mailbox_LDADD = $(offload_libs) $(CMOCKA_LIBS)
tests_unit_test_offload_thread_LDADD = $(offload_libs) $(CMOCKA_LIBS)
tests_unit_test_ops_config_CPPFLAGS = $(AM_CPPFLAGS) $(LIBCONFIG_CFLAGS)
tests_unit_test_ops_config_LDADD = $(ops_libs) $(CMOCKA_LIBS)
tests_unit_test_ops_logsink_LDADD = $(ops_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_blame_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_catalog_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_injection_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_key_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_keyed_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_ref_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_refusals_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_rules_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_sqltext_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_verb_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_orm_with_LDADD = $(orm_libs) $(CMOCKA_LIBS)
tests_unit_test_resp_encode_LDADD = $(resp_libs) $(CMOCKA_LIBS)
tests_unit_test_resp_request_LDADD = $(resp_libs) $(CMOCKA_LIBS)
tests_unit_test_resp_value_LDADD = $(resp_libs) $(CMOCKA_LIBS)

EXTRA_DIST +=					\
	tests/unit/core_lane.h			\
	tests/unit/core_models.h		\
	tests/unit/core_pair.h			\
	tests/unit/core_world.h			\
	tests/unit/db_result.h			\
	tests/unit/orm_allowed.h		\
	tests/unit/orm_compile.h		\
	tests/unit/orm_models.h			\
	tests/unit/orm_tables.h			\
	tests/unit/unit.h
