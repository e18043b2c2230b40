// Package browsertest gives tests a headless browser: Debian's Chromium, driven by chromedp.
//
// New starts a browser with a profile of its own, so that cookies never pass between tests, and lets it reach loopback
// addresses only: a page that wants anything from elsewhere does not get it. A test fails when a page throws an error or
// breaks its own content security policy.
//
// The package must not know the product's pages.
package browsertest
