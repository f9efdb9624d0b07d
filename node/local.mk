# The client for Node.js: `npm install node/` puts it where a program looks.

EXTRA_DIST +=					\
	node/README				\
	node/index.d.ts				\
	node/lib/awaits.js			\
	node/lib/client.js			\
	node/lib/connection.js			\
	node/lib/context.js			\
	node/lib/core.js			\
	node/lib/cursor.js			\
	node/lib/decode.js			\
	node/lib/encode.js			\
	node/lib/errors.js			\
	node/lib/executor.js			\
	node/lib/expr.js			\
	node/lib/index.js			\
	node/lib/kinds.js			\
	node/lib/resp.js			\
	node/lib/subscribe.js			\
	node/lib/transaction.js			\
	node/lib/types.js			\
	node/lib/unit.js			\
	node/lib/words.js			\
	node/package.json			\
	node/test/cancel.test.js		\
	node/test/client.test.js		\
	node/test/connection.test.js		\
	node/test/package.test.js		\
	node/test/resp.test.js			\
	node/test/subscribe.test.js		\
	node/test/transactions.test.js		\
	node/test/types.test.js			\
	node/testing/server.js			\
	node/testing/stage.js
