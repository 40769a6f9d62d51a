// Package browser holds no code, only tests: they start an example as a
// process, open its page in a headless Chromium, and break what is between
// them, or serve a hub to pages that read it with ssehub.js. Chromium is found
// by $CHROMIUM or in PATH; without one the tests are skipped, or fail if CI=true.
//
// With SCREENSHOTS=dir they also leave pictures of the page in dir.
package browser
