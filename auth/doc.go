// Package auth says who a caller is and what that caller may do: principals,
// the one decision function Allow, signed access tokens with scopes, and
// password hashes.
//
// It knows nothing of HTTP, SQL or registry contents. Handlers turn
// credentials into a Principal, ask Allow, and pass the Grant that it
// returned on; the registry acts only for a Grant, so nothing can reach a
// repository without a decision.
package auth
