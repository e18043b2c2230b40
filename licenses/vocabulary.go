package licenses

// TermUnknown is the value of a term that nobody has read.
const TermUnknown = "unknown"

// What outputs may be used for: the values of Fact.Outputs.
const (
	OutputsFree          = "free"
	OutputsDerivative    = "derivative"          // what is made of outputs is a derivative of the model
	OutputsNonCommercial = "non-commercial"      // not commercially
	OutputsResearch      = "research"            // for research only
	OutputsNonProduction = "non-production"      // not in production
	OutputsNoOtherLLM    = "no-other-llm"        // not to improve other large language models
	OutputsNoOtherAI     = "no-other-ai"         // not to improve other AI models
	OutputsNoFoundation  = "no-foundation-model" // not to make foundation models
	OutputsNoCompeting   = "no-competing"        // not to make what competes
	OutputsNameRule      = "name-rule"           // models trained on them follow the naming rule
	OutputsDisplayRule   = "display-rule"        // models trained on them follow the display duty
	OutputsNo            = "no"                  // nothing is granted
)

// What derivatives must carry: the values of Fact.Derivatives.
const (
	FlowNone          = "none"
	FlowCopy          = "copy"            // the licence and its notices
	FlowCopyAndPolicy = "copy-and-policy" // and the acceptable-use policy as terms
	FlowRestrictions  = "restrictions"    // the restrictions on use as terms
	FlowSameLicense   = "same-license"    // the same licence
	FlowSameAgreement = "same-agreement"  // the same agreement with the licensor
	FlowNoDerivatives = "no-derivatives"  // there may be none
)

// How a licence limits use: the values of Fact.Use.
const (
	UseAttached     = "attached"     // a list in an attachment
	UseIncorporated = "incorporated" // a policy at an address, whose words may change
	UseInText       = "in-text"
)

// What a licence says of patents: the values of Fact.Patents.
const (
	PatentsGrant       = "grant"
	PatentsNone        = "none"        // nothing is said
	PatentsExcluded    = "excluded"    // expressly not licensed
	PatentsRetaliation = "retaliation" // no grant, and the licence ends on a suit
)

// How a licence limits where it holds: the values of Territory.Rule.
const (
	TerritoryExclude   = "exclude"        // not to be used there
	TerritoryNoGrant   = "no-grant"       // grants nothing to those there
	TerritorySanctions = "sanctions"      // trade sanctions apply
	TerritoryExport    = "export-control" // export control applies
)

// Duties that code asks for by name: values of Duty.Kind. dutyWords has all.
const (
	DutyCopy     = "copy"
	DutyNotice   = "notice"
	DutyChanges  = "changes"
	DutyShow     = "show"
	DutyPrefix   = "prefix"
	DutyIdentify = "identify"
	DutyCredit   = "credit"
	DutySource   = "source"
)

// vocabulary lists the words that each field may have.
var vocabulary = map[string][]string{
	"outputs": {
		OutputsFree, OutputsDerivative, OutputsNonCommercial, OutputsResearch, OutputsNonProduction, OutputsNoOtherLLM, OutputsNoOtherAI,
		OutputsNoFoundation, OutputsNoCompeting, OutputsNameRule, OutputsDisplayRule, OutputsNo, TermUnknown,
	},
	"derivatives": {FlowNone, FlowCopy, FlowCopyAndPolicy, FlowRestrictions, FlowSameLicense, FlowSameAgreement, FlowNoDerivatives, TermUnknown},
	"use":         {UseAttached, UseIncorporated, UseInText, TermUnknown},
	"patents":     {PatentsGrant, PatentsNone, PatentsExcluded, PatentsRetaliation, TermUnknown},
	"territory":   {TerritoryExclude, TerritoryNoGrant, TerritorySanctions, TerritoryExport},
	"mof":         {"ok", "open", "no", TermUnknown},
	"source":      {SourceText, SourceStandard, SourceList, SourcePartial, SourceMemory},
	"content":     {"code", "data", "document", "model"},
	"answer":      {string(AnswerYes), string(AnswerNo), string(AnswerConditional), string(AnswerUnknown)},
}
