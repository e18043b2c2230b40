module github.com/carat-hub/carat

go 1.26.0
