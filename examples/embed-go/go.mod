module example.org/embed-go

go 1.26.0

require github.com/carat-hub/carat v0.0.0

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/carat-hub/carat => ../..
