module github.com/carat-hub/carat

go 1.26.0

require (
	github.com/google/uuid v1.6.0
	github.com/opencontainers/image-spec v1.1.1
)

require github.com/opencontainers/go-digest v1.0.0 // indirect
