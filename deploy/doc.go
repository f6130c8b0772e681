// Package deploy holds the tests that build and start Nocturne the way a user does, and look at it from outside only:
// through its page's API, PromQL, LogsQL and the messages that arrive. They run on Linux; see deploy/test.
package deploy
