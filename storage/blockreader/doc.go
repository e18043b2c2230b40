// Package blockreader reads an object that can only be fetched by ranges as if
// it were a file. It knows neither where the object lies nor what it is.
package blockreader
