// Package policy decides by rules that an organization or the whole hub writes
// in Cedar: who may push and pull what, by the facts of its licence, the
// findings of its lineage, its level of openness and its verification.
//
// A rule can only forbid. What access control does not allow stays refused
// whatever rules say, and what no rule forbids is permitted. A rule that cannot
// be evaluated, because a fact that it asks for is not known, forbids too, and
// the decision names the fact. A rule with the annotation @advice("warn") only
// warns. The annotation @reason gives the words that who is refused will see:
//
//	@id("no-research-only")
//	@reason("Models for research only are not for this organization.")
//	forbid (principal, action == Action::"pull", resource)
//	when { resource.license.restrictions.contains("research") };
//
// The package is pure: it is given all that a decision depends on.
package policy
