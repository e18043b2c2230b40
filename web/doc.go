// Package web serves the hub's pages: server-rendered documents that work
// without JavaScript, one URL for every tab.
//
// It reads models and verifications through small interfaces of its own and
// changes nothing. Everything that a model brings along (card, names, facts,
// licence text, evidence) is untrusted: it is escaped by html/template, and
// cards are rendered from Markdown without raw HTML and then sanitised. It
// knows nothing of SQL, of storage or of how callers sign in.
package web
