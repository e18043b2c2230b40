package web

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// payloads try to run script, or to change the page around them.
var payloads = []string{
	`<script>alert(1)</script>`,
	`<ScRiPt>alert(1)</sCrIpT>`,
	`<script src=//evil.example/x.js></script>`,
	`<script/src=data:,alert(1)>`,
	`<script type=module>import("//evil.example")</script>`,
	`</title><script>alert(1)</script>`,
	`</textarea><script>alert(1)</script>`,
	`</pre></code><script>alert(1)</script>`,
	`</noscript><script>alert(1)</script>`,
	`"><script>alert(1)</script>`,
	`'><script>alert(1)</script>`,
	`--><script>alert(1)</script>`,
	`]]><script>alert(1)</script>`,
	`<![CDATA[<script>alert(1)</script>]]>`,
	`<?xml version="1.0"?><script>alert(1)</script>`,
	`<!--<img src="--><img src=x onerror=alert(1)//">`,
	`<img src=x onerror=alert(1)>`,
	`<img src="x" onerror="alert(1)">`,
	"<img src=`x`onerror=alert(1)>",
	`<img/src=x/onerror=alert(1)>`,
	`<img src=x:alert(1) onerror=eval(src)>`,
	`<svg onload=alert(1)>`,
	`<svg><script>alert(1)</script></svg>`,
	`<svg><animate onbegin=alert(1) attributeName=x dur=1s>`,
	`<svg><a xlink:href="javascript:alert(1)"><text y=20>x</text></a></svg>`,
	`<svg><use href="data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>#x">`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`<math><a xlink:href="javascript:alert(1)">x</a></math>`,
	`<body onload=alert(1)>`,
	`<details open ontoggle=alert(1)>`,
	`<input autofocus onfocus=alert(1)>`,
	`<video><source onerror=alert(1)></video>`,
	`<audio src=x onerror=alert(1)>`,
	`<marquee onstart=alert(1)>`,
	`<iframe src="javascript:alert(1)"></iframe>`,
	`<iframe srcdoc="<script>alert(1)</script>"></iframe>`,
	`<object data="javascript:alert(1)">`,
	`<embed src="javascript:alert(1)">`,
	`<form action="javascript:alert(1)"><button>x</button></form>`,
	`<button formaction="javascript:alert(1)">x</button>`,
	`<base href="//evil.example/">`,
	`<meta http-equiv="refresh" content="0;url=javascript:alert(1)">`,
	`<link rel=stylesheet href=//evil.example/x.css>`,
	`<style>@import "//evil.example/x.css"; body{display:none}</style>`,
	`<p style="position:fixed;inset:0;background:url(javascript:alert(1))">x</p>`,
	`<template><script>alert(1)</script></template>`,
	`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
	`<xmp><script>alert(1)</script></xmp>`,
	`<plaintext>`,
	`<a href="javascript:alert(1)">x</a>`,
	`<javascript:alert(1)>`,
	`[x](javascript:alert(1))`,
	`[x](JaVaScRiPt:alert(1))`,
	`[x](javascript&colon;alert(1))`,
	`[x](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A&#x61lert(1))`,
	`[x](&#106;avascript:alert(1))`,
	"[x](java\tscript:alert(1))",
	`[x](<java&#10;script:alert(1)>)`,
	`[x](<javascript:alert(1)>)`,
	`[x]( javascript:alert(1))`,
	`[x](\u0001javascript:alert(1))`,
	"[x](\x01javascript:alert(1))",
	`[x](javascript://example.org/%0aalert(1))`,
	`[x](//evil.example/javascript:alert(1))`,
	`[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)`,
	`[x](vbscript:msgbox(1))`,
	`[x](file:///etc/passwd)`,
	`[x](blob:https://example.org/1)`,
	`[x](https://example.org/"onmouseover="alert(1))`,
	`[x](https://example.org "t\" onmouseover=\"alert(1)")`,
	`![x](javascript:alert(1))`,
	`![x](x"onerror="alert(1))`,
	`![x" onerror="alert(1)](https://example.org/x.png)`,
	`![x](data:image/svg+xml,<svg/onload=alert(1)>)`,
	`![[x](javascript:alert(1))](https://example.org/x.png)`,
	"[x]\n\n[x]: javascript:alert(1)",
	`<https://example.org/"onclick="alert(1)>`,
	`https://example.org/"onclick="alert(1)`,
	`www.example.org/<script>alert(1)</script>`,
	"```\"onmouseover=\"alert(1)\nx\n```",
	"```<script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```",
	"`</code><script>alert(1)</script>`",
	`# <script>alert(1)</script>`,
	`# x {onclick=alert(1) id=content}`,
	"content\n===",
	"|<script>alert(1)</script>|\n|--|\n|<img src=x onerror=alert(1)>|",
	`&lt;script&gt;alert(1)&lt;/script&gt;`,
	`&#60;script&#62;alert(1)&#60;/script&#62;`,
	"\u202e<script>alert(1)</script>",
	"\x00<script>alert(1)</script>",
	"<scr\x00ipt>alert(1)</script>",
	"\xc0\xbcscript\xc0\xbealert(1)",
	"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
	`{{.}}{{template "main"}}<script>alert(1)</script>`,
	"${alert(1)}",
	"\u2028</script><script>alert(1)</script>",
	`javascript:alert(1)`,
	`" onmouseover="alert(1)`,
	`' onmouseover='alert(1)`,
	"` onmouseover=`alert(1)",
	`x" autofocus onfocus="alert(1)" y="`,
}

// poisoned is a hub with one version whose every foreign text is s.
func poisoned(s string) *hub {
	quoted, _ := json.Marshal(map[string]string{s: s})
	v := registry.Version{
		Name: "org/model", Digest: digest("x"), Tags: []registry.Tag{"latest"}, CreatedAt: today,
		Files: []registry.File{
			{Path: s, Digest: digest(s), Size: 1, MediaType: s}, {Path: s + "/" + s, Digest: digest(s), Size: 1, MediaType: s, Packed: true},
		},
		FactsError: s,
		Facts: &registry.Facts{
			Format: s, Architecture: s, Quantization: s, Tokenizer: s, Parameters: 1, Bases: []registry.DeclaredBase{{Name: s}, {Name: s}},
			Card: registry.Card{
				Title: s, Summary: s, Body: s + "\n\n" + s, Languages: []string{s}, Library: s, Pipeline: s, Tags: []string{s}, BaseModels: []string{s, s},
				Datasets: []string{s}, LicenseID: s, LicenseName: s, LicenseLink: s, Problem: s,
			},
			License: registry.License{Declared: s, File: s, Text: s},
		},
		Verification: &registry.VerificationSummary{State: s, Summary: s},
	}
	known := v
	facts := *v.Facts
	facts.License.Declared = "MIT"
	known.Facts, known.Digest, known.Tags = &facts, digest("y"), []registry.Tag{"known"}
	report := &verify.Report{Summary: s, State: verify.StateFailed, Verifier: verify.Verifier{Name: s, Version: s, Platform: s}}
	for _, o := range []verify.Outcome{verify.OutcomeFailed, verify.OutcomePassed, verify.Outcome(s)} {
		report.Results = append(report.Results, verify.Result{ID: s, Proves: s, Outcome: o, Reason: s, Evidence: quoted},
			verify.Result{ID: s, Evidence: json.RawMessage(s)})
	}
	descent, _ := json.Marshal(map[string]any{"bases": []map[string]string{{"name": s, "relation": s, "verdict": s}, {"name": s}}})
	report.Results = append(report.Results, verify.Result{ID: "lineage.base", Evidence: descent})
	return &hub{
		done: []audit.Event{{
			Action: audit.Action(s), Actor: audit.Actor{Name: s, Address: s, Request: s}, Repository: s, Tag: s, Digest: s, Detail: map[string]string{s: s},
		}},
		models: []fakeModel{{"org/model", auth.Public, []registry.Version{v, known}}},
		verifications: map[registry.Digest][]verify.Verification{
			v.Digest: {{State: verify.StateFailed, Report: report}, {State: verify.State(s), Report: report}},
		},
	}
}

func TestForeignText(t *testing.T) {
	t.Parallel()
	if len(payloads) < 60 {
		t.Fatalf("only %d payloads", len(payloads))
	}
	for _, payload := range payloads {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			s := setup(t, poisoned(payload))
			q := url.QueryEscape(payload)
			for _, path := range []string{
				"/", "/?q=" + q + "&architecture=" + q + "&format=" + q + "&license=" + q + "&page=" + q,
				"/org/model", "/org/model?ref=" + q, "/org/model/files", "/org/model/tags", "/org/model/license", "/org/model/verification",
				"/org/model/license?ref=known", "/" + url.PathEscape(payload) + "/" + url.PathEscape(payload),
				"/admin/audit", "/admin/audit?actor=" + q + "&action=" + q + "&repository=" + q + "&since=" + q + "&until=" + q + "&before=" + q,
			} {
				rec := s.get(path, as, "admin")
				if rec.Code >= 500 {
					t.Errorf("GET %s: status %d", path, rec.Code)
				}
				for _, fault := range dangers(t, rec.Body.String()) {
					t.Errorf("GET %s: %s", path, fault)
				}
			}
		})
	}
}

// The check itself must find what it is there for.
func TestDangers(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		`<script>alert(1)</script>`, `<script src="//evil.example/x.js"></script>`, `<script src="/static/../v2/x"></script>`, `<p onclick=x>`,
		`<a href="java&#10;script:alert(1)">`, `<a href="data:text/html,x">`, `<img src="https://example.org/x">`, `<svg onload=x>`, `<p style="x">`,
		`<iframe>`, `<form action="https://example.org">`, `<base href=x>`, `<p id=a><p id=a>`, `<link rel=stylesheet href=//evil.example/x.css>`,
		`<meta http-equiv=refresh content="0;url=//evil.example">`, `<style>`, `<button formaction=x>`,
	} {
		if len(dangers(t, page)) == 0 {
			t.Errorf("nothing found in %s", page)
		}
	}
}

// elements are all that pages are made of.
var elements = []string{
	"html", "head", "meta", "title", "link", "script", "noscript", "body", "a", "header", "div", "svg", "path", "span", "search", "form", "label", "input",
	"button", "main", "footer", "p", "h1", "h2", "h3", "h4", "h5", "h6", "nav", "ul", "ol", "li", "section", "article", "aside", "dl", "dt", "dd",
	"code", "pre", "table", "thead", "tbody", "tr", "th", "td", "time", "bdi", "strong", "em", "del", "ins", "br", "hr", "blockquote", "details", "summary",
	"select", "option", "datalist",
}

// dangers parses a page as a browser without script does, and lists what
// could run script, load from elsewhere or take the page over.
func dangers(t *testing.T, page string) []string {
	t.Helper()
	doc, err := html.ParseWithOptions(strings.NewReader(page), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	ids := make(map[string]bool)
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(elements, n.Data) {
			faults = append(faults, "element "+n.Data)
		}
		attributes := make(map[string]string)
		for _, a := range n.Attr {
			name := strings.ToLower(a.Namespace + a.Key)
			attributes[name] = a.Val
			switch {
			case strings.HasPrefix(name, "on"), name == "style", name == "srcdoc", name == "formaction", strings.Contains(name, "xlink"):
				faults = append(faults, "attribute "+name)
			case name == "id" && ids[a.Val]:
				faults = append(faults, "two elements with the id "+a.Val)
			case name == "id":
				ids[a.Val] = true
			}
		}
		href := strings.Map(func(r rune) rune { // as browsers read addresses
			if r <= ' ' {
				return -1
			}
			return r
		}, attributes["href"])
		u, err := url.Parse(href)
		if err != nil || !slices.Contains([]string{"", "http", "https", "mailto"}, strings.ToLower(u.Scheme)) {
			faults = append(faults, "address "+href)
		}
		own := func(s string) bool { return strings.HasPrefix(s, staticPrefix) && !strings.Contains(s, "..") }
		switch n.DataAtom {
		case atom.Script:
			if !own(attributes["src"]) || n.FirstChild != nil {
				faults = append(faults, "script "+attributes["src"])
			}
		case atom.Link:
			if !own(attributes["href"]) {
				faults = append(faults, "link to "+attributes["href"])
			}
		case atom.Form:
			if a := attributes["action"]; a != "/" && a != auditPath && a != "/login" && a != "/auth/device" && a != "/auth/device/answer" && a != "/logout" && !strings.HasPrefix(a, sessionsPath+"/") {
				faults = append(faults, "form for "+attributes["action"])
			}
		case atom.Meta:
			if attributes["http-equiv"] != "" && attributes["content"] != "5" {
				faults = append(faults, "meta "+attributes["http-equiv"])
			}
		case atom.A:
			if u != nil && u.Host != "" && !strings.Contains(attributes["rel"], "nofollow") {
				faults = append(faults, "followed link to "+href)
			}
		}
	}
	return faults
}

func FuzzRenderCard(f *testing.F) {
	for _, s := range payloads {
		f.Add(s)
	}
	f.Add(card)
	for _, bomb := range bombs {
		f.Add(bomb(400))
	}
	f.Fuzz(func(t *testing.T, body string) {
		got := renderCard(body, testLinks)
		if got.HTML != "" && got.Plain != "" {
			t.Error("both rendered and plain")
		}
		for _, fault := range dangers(t, string(got.HTML)) {
			t.Errorf("%s in %s", fault, got.HTML)
		}
	})
}
