package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
)

func newDeleteCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete REFERENCE...",
		Short: "Delete tags, or versions by their digest",
		Long: `Delete what each reference names, after asking:

  HOST/ORG/NAME:TAG      the tag alone; its version stays, and can be pulled by its
                         digest and tagged again
  HOST/ORG/NAME@DIGEST   the version with all of its tags

A reference must say which: no tag is assumed. The weights of a deleted version are
freed by the hub's clean-up when no other version has them. Reports, signatures and
what else is about a version go with it.`,
		Example: `  carat delete models.example.org/acme/model:v1-rc
  carat delete models.example.org/acme/model@sha256:1f0c… --yes`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			refs := make([]client.Reference, len(args))
			for i, arg := range args {
				var err error
				if refs[i], err = deletable(arg); err != nil {
					return exit(exitUsage, err)
				}
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			for _, ref := range refs {
				what := fmt.Sprintf("tag %s of %s/%s", ref.Tag, ref.Host, ref.Name)
				if ref.Tag == "" {
					what = fmt.Sprintf("version %s of %s/%s with all of its tags", ref.Digest, ref.Host, ref.Name)
				}
				if !yes {
					if err := e.confirm("Delete "+what+"?", fmt.Errorf("%s was not deleted", ref)); err != nil {
						return err
					}
				}
				if err := c.Delete(cmd.Context(), ref); err != nil {
					return hint(cmd.Context(), c, err, ref)
				}
				e.say("deleted " + what)
			}
			return nil
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "delete without asking")
	return cmd
}

// deletable parses a reference that has either a tag or a digest.
func deletable(arg string) (client.Reference, error) {
	ref, err := client.ParseReference(arg)
	if err != nil {
		return ref, err
	}
	_, named, _ := strings.Cut(arg, "/")
	switch {
	case !strings.ContainsAny(named, ":@"):
		return ref, fmt.Errorf("%s names no version: add :TAG for a tag, or @DIGEST for a version with all of its tags", arg)
	case ref.Tag != "" && !ref.Digest.IsZero():
		return ref, fmt.Errorf("%s has a tag and a digest: give :TAG to delete the tag alone, or @DIGEST for the version with all of its tags", arg)
	}
	return ref, nil
}
