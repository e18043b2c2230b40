package registry

// Media types of manifests that the registry takes. Sources: OCI
// image-spec v1.1.1, Docker image manifest version 2 schema 2.
const (
	MediaTypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeOCIEmpty       = "application/vnd.oci.empty.v1+json"
)

// Media types of CNCF ModelPack v0.0.7 as this project writes them: one raw
// layer for each file. Source: modelpack/model-spec.
const (
	ModelPackArtifact     = "application/vnd.cncf.model.manifest.v1+json"
	ModelPackConfig       = "application/vnd.cncf.model.config.v1+json"
	ModelPackWeight       = "application/vnd.cncf.model.weight.v1.raw"
	ModelPackWeightConfig = "application/vnd.cncf.model.weight.config.v1.raw"
	ModelPackDoc          = "application/vnd.cncf.model.doc.v1.raw"
	ModelPackCode         = "application/vnd.cncf.model.code.v1.raw"
	ModelPackDataset      = "application/vnd.cncf.model.dataset.v1.raw"
)

// Annotations that name the file which a layer holds.
const (
	AnnotationModelPackPath     = "org.cncf.model.filepath"
	AnnotationModelPackMetadata = "org.cncf.model.file.metadata+json"
	AnnotationModelPackUntested = "org.cncf.model.file.mediatype.untested"
	AnnotationCNAIPath          = "org.cnai.model.filepath" // model-spec before v0.0.7
	AnnotationTitle             = "org.opencontainers.image.title"
	AnnotationCreated           = "org.opencontainers.image.created"
)

// ArtifactVerification is the artifactType of a verification report, pushed
// as a referrer of the version that it is about. Its one layer is a DSSE
// envelope; the names are those of sigstore/cosign for attestations.
const (
	ArtifactVerification    = "application/vnd.carat.verification.v1+json"
	MediaTypeDSSE           = "application/vnd.dsse.envelope.v1+json"
	AnnotationPredicateType = "predicateType" // of the layer
)
