package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	spdx "github.com/spdx/tools-golang/spdx/v3/v3_0"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "spdxread:", err)
		os.Exit(1)
	}
}

func run() error {
	var d spdx.Document
	if err := json.NewDecoder(os.Stdin).Decode(&d); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	// The licences that the specification itself defines come without a
	// creation, which the library demands of every element.
	for _, e := range d.Elements {
		r, ok := e.(*spdx.Relationship)
		if !ok {
			continue
		}
		for _, to := range r.To {
			if l, ok := to.(*spdx.IndividualLicensingInfo); ok && l.GetCreationInfo() == nil {
				l.SetCreationInfo(d.CreationInfo)
			}
		}
	}
	if err := d.Validate(false); err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	count := map[string]int{}
	for _, e := range d.Elements {
		t := reflect.TypeOf(e)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		count[t.Name()]++
	}
	return json.NewEncoder(os.Stdout).Encode(count)
}
