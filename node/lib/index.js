/** Lockkeeper for Node.js: connect() and what goes with it. */
export { connect, Lockkeeper } from './client.js';
export { json } from './encode.js';
export * from './errors.js';
export { and, col, defaultValue, everything, not, or, related } from './expr.js';
export { Subscription } from './subscribe.js';
export { Transaction } from './transaction.js';
export { Unit } from './unit.js';
