// Package jinja renders chat templates: the part of the Jinja2 language that the templates of published models use, with the
// environment that Hugging Face's transformers library gives them (trim_blocks, lstrip_blocks, loop controls, tojson without HTML
// escapes, raise_exception, strftime_now, generation blocks).
//
// Templates are foreign programs. Values are plain data (undefined, none, booleans, numbers, strings, lists, dicts, namespaces) with
// a fixed set of methods: no reflection, no files, no way to change what was passed in. Every rendering has fuel, which statements,
// expressions and the bytes and items that they build use up, besides limits on the output, on strings and on recursion.
//
// Where the language is not covered the template is refused with the reason. It is never rendered differently: what a template
// gets is what Jinja2's own sandbox would give, or an error.
package jinja
