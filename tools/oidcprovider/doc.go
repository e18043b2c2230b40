// Oidcprovider is the OpenID provider of the tests: the example server of
// zitadel/oidc, with a key of its own, on a free port of the loopback address. It
// stands for the issuers of CI systems and for whatever people sign in with.
//
// Its arguments are the subjects that can sign in, each under their own name and with
// their name as the password. It prints its issuer URL when it listens.
package main
