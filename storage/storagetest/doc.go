// Package storagetest is the behaviour of package storage as a test library:
// every driver passes Run, and Bench measures it.
//
// It knows the interfaces only, never a driver.
package storagetest
