# The asyncio client: installed where Python looks, or a wheel, by pyproject.

lkpythondir = $(pythondir)/lockkeeper

python_modules =				\
	python/lockkeeper/__init__.py		\
	python/lockkeeper/__main__.py		\
	python/lockkeeper/_awaits.py		\
	python/lockkeeper/_client.py		\
	python/lockkeeper/_columns.py		\
	python/lockkeeper/_connection.py	\
	python/lockkeeper/_core.py		\
	python/lockkeeper/_cresp.pyi		\
	python/lockkeeper/_cursor.py		\
	python/lockkeeper/_decode.py		\
	python/lockkeeper/_encode.py		\
	python/lockkeeper/_executor.py		\
	python/lockkeeper/_pyresp.py		\
	python/lockkeeper/_query.py		\
	python/lockkeeper/_reflect.py		\
	python/lockkeeper/_resp.py		\
	python/lockkeeper/_rows.py		\
	python/lockkeeper/_subscribe.py		\
	python/lockkeeper/_tasks.py		\
	python/lockkeeper/_transaction.py	\
	python/lockkeeper/_unit.py		\
	python/lockkeeper/_version.py		\
	python/lockkeeper/_words.py		\
	python/lockkeeper/asyncpg.py		\
	python/lockkeeper/errors.py		\
	python/lockkeeper/expr.py		\
	python/lockkeeper/models.py		\
	python/lockkeeper/sync.py		\
	python/lockkeeper/py.typed		\
	python/lockkeeper/types.py

if HAVE_PYTHONDIR
lkpython_DATA = $(python_modules)
endif

# One link, and not by libtool, which makes of a module more than the one file.
if HAVE_PYTHON_H
lkpython_PROGRAMS = python/lockkeeper/_cresp.so
python_lockkeeper__cresp_so_SOURCES =		\
	python/lockkeeper/_cresp.c		\
	src/base/buf.c				\
	src/base/die.c				\
	src/base/error.c			\
	src/client/frame.c			\
	src/resp/value.c			\
	src/resp/wire.c
python_lockkeeper__cresp_so_CPPFLAGS = $(AM_CPPFLAGS) -isystem $(PYTHON_INCLUDE)
python_lockkeeper__cresp_so_CFLAGS = $(AM_CFLAGS) -fPIC -fvisibility=hidden
python_lockkeeper__cresp_so_LINK =		\
	$(CC) -shared $(python_lockkeeper__cresp_so_CFLAGS) $(CFLAGS)	\
	$(AM_LDFLAGS) $(LDFLAGS) -o $@
endif

# So that the package is whole where it is built, and can be used from there.
all-local: link-package
link-package:
	@for file in $(python_modules); do				\
		test -e $$file || ln -s $(abs_top_srcdir)/$$file $$file ||	\
		exit;							\
	done
clean-local: unlink-package
unlink-package:
	@for file in $(python_modules); do				\
		test ! -L $$file || rm -f $$file;			\
	done
.PHONY: link-package unlink-package

EXTRA_DIST +=					\
	$(python_modules)			\
	python/README				\
	python/lockkeeper/_cresp.c		\
	python/pyproject.toml			\
	python/setup.py
