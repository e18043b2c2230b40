// Package shared finds the reference data that lies beside a clone and is too large, or not ours, to be in it.
package shared
