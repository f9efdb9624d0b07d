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
	python/lockkeeper/_cursor.py		\
	python/lockkeeper/_decode.py		\
	python/lockkeeper/_encode.py		\
	python/lockkeeper/_executor.py		\
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
	python/lockkeeper/types.py

if HAVE_PYTHONDIR
lkpython_DATA = $(python_modules) python/lockkeeper/py.typed
endif

EXTRA_DIST +=					\
	$(python_modules)			\
	python/README				\
	python/lockkeeper/py.typed		\
	python/pyproject.toml
