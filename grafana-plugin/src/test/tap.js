// Prints Jest's results in the form that deploy/testtotals counts.
module.exports = class Tap {
  onRunStart() {
    console.log('TAP version 13');
  }

  onTestResult(_test, { testFilePath, testResults, testExecError }) {
    if (testExecError) {
      console.log(`not ok - ${testFilePath}: ${testExecError.message}`);
    }
    for (const r of testResults) {
      console.log(`${r.status === 'failed' ? 'not ok' : 'ok'} - ${r.fullName}`);
      for (const m of r.failureMessages) {
        console.log(m);
      }
    }
  }

  onRunComplete(_contexts, r) {
    const broken = r.testResults.filter((t) => t.testExecError).length;
    console.log(`# pass ${r.numPassedTests}\n# fail ${r.numFailedTests + broken}\n# cancelled 0\n# skipped ${r.numPendingTests + r.numTodoTests}`);
  }
};
