package main

// The records of section 2.1: one direction of the stream behind the handshake, opened record by record.

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

const (
	recordsPerKey    = 65536
	minRecordBytes   = 17
	maxRecordBytes   = 1<<20 + 64 + 16
	maxPlainBytes    = 1<<20 + 64
	lengthWordBytes  = 4
	nonceCounterFrom = 4
)

// openRecords gives the plaintext of every record of a direction, to its last byte.
func openRecords(stream *cursor, secret []byte) [][]byte {
	var plaintexts [][]byte
	var aead cipher.AEAD
	var iv []byte
	for counter := uint64(0); len(stream.rest) > 0; counter++ {
		if counter%recordsPerKey == 0 {
			if counter > 0 {
				secret = expand(secret, "sealift/1 next", 32)
			}
			aead, iv = recordKeys(secret)
		}
		word := stream.take(lengthWordBytes)
		length := binary.BigEndian.Uint32(word)
		must(length >= minRecordBytes && length <= maxRecordBytes, "%s: record %d has a length of %d", stream.of, counter, length)
		nonce := append([]byte(nil), iv...)
		for i, b := range binary.BigEndian.AppendUint64(nil, counter) {
			nonce[nonceCounterFrom+i] ^= b
		}
		plaintext, err := aead.Open(nil, nonce, stream.take(int(length)), word)
		must(err == nil, "%s: record %d does not open", stream.of, counter)
		plaintexts = append(plaintexts, plaintext)
	}
	return plaintexts
}

// readPlainRecords gives the same of a direction that TLS sealed: its records have no tag.
func readPlainRecords(stream *cursor) [][]byte {
	var plaintexts [][]byte
	for len(stream.rest) > 0 {
		length := binary.BigEndian.Uint32(stream.take(lengthWordBytes))
		must(length >= 1 && length <= maxPlainBytes, "%s: record %d has a length of %d", stream.of, len(plaintexts), length)
		plaintexts = append(plaintexts, stream.take(int(length)))
	}
	return plaintexts
}

func recordKeys(secret []byte) (cipher.AEAD, []byte) {
	block, err := aes.NewCipher(expand(secret, "sealift/1 key", 32))
	must(err == nil, "AES: %v", err)
	aead, err := cipher.NewGCM(block)
	must(err == nil, "GCM: %v", err)
	return aead, expand(secret, "sealift/1 iv", 12)
}
