// Package browser holds no code, only tests: they start an example as a
// process, open its page in a headless Chromium, and break what is between
// them, or serve a hub to pages that read it with ssehub.js. What matters most
// they try in Firefox too. Chromium is found by $CHROMIUM or in PATH, Firefox by
// $FIREFOX; without one its tests are skipped, or fail if CI=true.
//
// With SCREENSHOTS=dir they also leave pictures of the page in dir.
package browser
