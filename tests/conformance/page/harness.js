// After testharness.js: the clock is the runner's, and results go to it as they come.
(function (shared) {
'use strict';
const {without, only} = shared.options;
const original = globalThis.promise_test;
globalThis.promise_test = (body, name, properties) => {
  if (only === null ? !without.includes(name) : name === only) original(body, name, properties);
};

const begun = new Map();
const counts = () => ({calls: shared.door('calls'), missing: shared.door('missing')});
setup({output: false, explicit_timeout: true});
add_test_state_callback((test) => {
  if (test.phase >= test.phases.STARTED && !begun.has(test)) begun.set(test, counts());
});
const reported = new Set();
function report(test) {
  if (reported.has(test)) return;
  reported.add(test);
  const {calls, missing} = begun.get(test) ?? counts();
  shared.door('test', test.name, test.status, test.message, calls, missing);
}
add_result_callback(report);
add_completion_callback((tests, status) => {
  tests.forEach(report);  // also those that never began
  shared.door('done', status.status, status.message);
});
delete globalThis.shared;
})(globalThis.shared);
