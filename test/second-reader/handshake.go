package main

// The handshake of section 1, read from outside: both directions are there, and of the secrets only what the token gave
// (the ISK of CPace) and the seed of the initiator's ML-KEM key.

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/sha256"
)

const (
	frameInit = 1 + iota
	frameResp
	frameConfirmInitiator
	frameConfirmResponder
	frameAbort
)

const (
	suiteCpace     = 1
	suiteResume    = 3
	cipherAesGcm   = 1
	kemNone        = 0
	kemMlKem768    = 1
	purposeDirect  = 1
	noResumeID     = 255
	maxFrameBody   = 4096
	macBytes       = 32
	shareBytes     = 32
	sessionIDBytes = 16
)

var magic = []byte("SLFT")

// takeFrame cuts the next frame off a direction. It gives the whole frame and its body.
func takeFrame(stream *cursor, kind int, name string) (frame, body []byte) {
	before := stream.rest
	must(bytes.Equal(stream.take(4), magic), "%s does not begin with the magic", name)
	must(stream.u8() == 1, "%s is of another frame version", name)
	found := stream.u8()
	must(found != frameAbort, "the handshake was aborted in the place of %s", name)
	must(found == kind, "%s is of kind %d", name, found)
	length := stream.u16()
	must(length <= maxFrameBody, "%s has a body of %d bytes", name, length)
	body = stream.take(length)
	return before[:8+length], body
}

// offer is what INIT offers.
type offer struct {
	ciphers   []byte
	suites    []byte
	kem       int
	kemPublic []byte
	share     []byte
}

func readInit(body []byte) offer {
	c := &cursor{body, "INIT"}
	must(bytes.Contains(c.list(), []byte{1}), "INIT does not offer version 1")
	o := offer{suites: c.list()}
	o.ciphers = c.list()
	o.kem = c.u8()
	o.kemPublic = c.take(c.u16())
	if o.kem == kemNone {
		must(len(o.kemPublic) == 0, "INIT has a KEM key and no KEM")
	}
	must(!c.flag(), "this is one more stream of another session")
	must(c.u8() == purposeDirect, "this is no direct transfer")
	c.take(sessionIDBytes)
	ids := c.u8()
	must(ids <= 8, "INIT has %d resume ids", ids)
	c.take(16 * ids)
	must(bytes.Contains(o.suites, []byte{suiteResume}) == (ids > 0), "resume is offered without an id, or not offered with one")
	if ids > 0 {
		c.take(shareBytes)
	}
	must(bytes.Contains(o.suites, []byte{suiteCpace}), "INIT does not offer cpace")
	o.share = c.take(shareBytes)
	c.end()
	return o
}

// readResp gives the KEM ciphertext, nil without a KEM.
func readResp(body []byte, o offer) []byte {
	c := &cursor{body, "RESP"}
	must(c.u8() == 1, "RESP chose another version")
	must(c.u8() == suiteCpace, "RESP chose another suite than cpace")
	cipher := c.u8()
	must(bytes.IndexByte(o.ciphers, byte(cipher)) >= 0, "RESP chose a cipher that was not offered")
	must(cipher == cipherAesGcm, "the records are sealed with cipher %d, which Go's standard library does not have", cipher)
	kem := c.u8()
	ciphertext := c.take(c.u16())
	must(kem == kemNone || kem == o.kem, "RESP chose a KEM that was not offered")
	if kem == kemNone {
		must(len(ciphertext) == 0, "RESP has a KEM ciphertext and no KEM")
		ciphertext = nil
	} else {
		must(kem == kemMlKem768, "RESP chose an unknown KEM")
		must(len(ciphertext) == mlkem.CiphertextSize768, "the KEM ciphertext has %d bytes", len(ciphertext))
	}
	must(c.u8() == noResumeID, "RESP names a resume id under cpace")
	must(!bytes.Equal(c.take(shareBytes), o.share), "both shares are equal")
	c.end()
	return ciphertext
}

// trafficSecrets are those of 1.3, one a direction.
type trafficSecrets struct {
	initiatorToResponder []byte
	responderToInitiator []byte
}

// openHandshake reads the four frames off both directions, derives the keys and verifies both confirmations.
func openHandshake(initiator, responder *cursor, isk, kemSeed []byte) trafficSecrets {
	init, initBody := takeFrame(initiator, frameInit, "INIT")
	resp, respBody := takeFrame(responder, frameResp, "RESP")
	confirmI, confirmIBody := takeFrame(initiator, frameConfirmInitiator, "CONFIRM_I")
	_, confirmRBody := takeFrame(responder, frameConfirmResponder, "CONFIRM_R")
	offered := readInit(initBody)
	ciphertext := readResp(respBody, offered)

	must(len(isk) == 64, "the ISK has %d bytes", len(isk))
	ikm := isk
	if ciphertext != nil {
		ikm = append(bytes.Clone(isk), decapsulate(kemSeed, offered.kemPublic, ciphertext)...)
	}
	context := append(append(lv([]byte("sealift/1")), lv([]byte("direct"))...), lv(nil)...)
	transcript := bytes.Join([][]byte{context, init, resp}, nil)
	salt := sha256.Sum256(transcript)
	prk, err := hkdf.Extract(sha256.New, ikm, salt[:])
	must(err == nil, "HKDF-Extract: %v", err)
	label := func(name string) []byte { return expand(prk, "sealift/1 "+name, 32) }

	must(len(confirmIBody) == macBytes, "CONFIRM_I has %d bytes", len(confirmIBody))
	must(len(confirmRBody) == macBytes, "CONFIRM_R has %d bytes", len(confirmRBody))
	must(hmac.Equal(confirmIBody, mac(label("confirm i"), transcript)), "the MAC of CONFIRM_I is wrong")
	must(hmac.Equal(confirmRBody, mac(label("confirm r"), append(transcript, confirmI...))), "the MAC of CONFIRM_R is wrong")
	return trafficSecrets{initiatorToResponder: label("i2r"), responderToInitiator: label("r2i")}
}

func decapsulate(seed, public, ciphertext []byte) []byte {
	key, err := mlkem.NewDecapsulationKey768(seed)
	must(err == nil, "the seed of ML-KEM: %v", err)
	must(bytes.Equal(key.EncapsulationKey().Bytes(), public), "INIT has another ML-KEM key than that of the seed")
	secret, err := key.Decapsulate(ciphertext)
	must(err == nil, "ML-KEM: %v", err)
	return secret
}

func expand(secret []byte, label string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, secret, label, length)
	must(err == nil, "HKDF-Expand: %v", err)
	return key
}

func mac(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(text)
	return m.Sum(nil)
}
