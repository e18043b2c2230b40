// Package export writes what is known of a version in the formats of others:
// the notices and attributions that its licences ask for, a CycloneDX and an
// SPDX bill of materials, the sheet of Annex XII of the EU's AI Act, and the
// mof.yml of the Model Openness Framework.
//
// It computes from facts that the caller has, reads nothing, and invents
// nothing: what is not known is left out, or said to be not stated. The same
// facts give the same bytes, so that a document may be signed, cached and
// compared; identifiers are derived from the content, and the only time in it is
// the one at which the version came to the hub. Of works that the caller may not
// see no more shows than that they exist.
package export
