// Package secret finds credentials that were committed by accident: tokens of well-known forms, private keys, and passwords
// in files that are for them. Forms are told by their prefix, length and alphabet, by the checksum where they carry one, and by
// how random they look, so that placeholders of documentation are left alone.
//
// What it returns never holds a secret: the first four characters and the length stand for it. It knows nothing of models.
package secret
