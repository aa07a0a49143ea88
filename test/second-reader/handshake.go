package main

// The handshakes of section 1, read from outside: both directions are there, and of the secrets only what the suite led to
// (ISK of CPace, both keys of Noise) and what ML-KEM needs.

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
	suiteNoise     = 2
	suiteResume    = 3
	cipherAesGcm   = 1
	cipherTLS      = 3
	kemNone        = 0
	kemMlKem768    = 1
	purposeDirect  = 1
	purposeServer  = 2
	noResumeID     = 255
	maxFrameBody   = 4096
	macBytes       = 32
	shareBytes     = 32
	sessionIDBytes = 16
	// Of RESP and CONFIRM_I under noise-xx.
	noiseRespBytes = 3 + 32 + 48 + 3 + 16
	noise3Bytes    = 48 + 16
)

var purposeNames = map[int]string{purposeDirect: "direct", purposeServer: "server"}

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

// place is where a handshake stands, and what it must be there.
type place struct {
	suite   int
	purpose int
	// Of the channel around it; empty where there is none.
	binding []byte
	// That channel is TLS, and seals the records.
	onTLS bool
	// It is inside a session: nothing but the suite is offered, and its cipher seals nothing.
	isInner bool
}

// where stands behind the name of a frame.
func (at place) where() string {
	if at.isInner {
		return " in AUTH"
	}
	return ""
}

// given is what a handshake led to, and cannot be computed from outside.
type given struct {
	// ISK of CPace or both keys of Noise, 64 bytes.
	suiteSecret []byte
	kemSeed     []byte
	// Under noise-xx, where RESP has it sealed.
	kemCiphertext []byte
}

// offer is what INIT offers.
type offer struct {
	ciphers   []byte
	suites    []byte
	kem       int
	kemPublic []byte
	purpose   int
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
	o.purpose = c.u8()
	must(purposeNames[o.purpose] != "", "INIT has the unknown purpose %d", o.purpose)
	c.take(sessionIDBytes)
	ids := c.u8()
	must(ids <= 8, "INIT has %d resume ids", ids)
	c.take(16 * ids)
	must(offers(o.suites, suiteResume) == (ids > 0), "resume is offered without an id, or not offered with one")
	if ids > 0 {
		c.take(shareBytes)
	}
	must(!(offers(o.suites, suiteCpace) && offers(o.suites, suiteNoise)), "INIT offers cpace and noise-xx together")
	o.share = c.take(shareBytes)
	c.end()
	return o
}

func offers(list []byte, number int) bool {
	return bytes.IndexByte(list, byte(number)) >= 0
}

// checkOffer holds what INIT offers against the place where it stands.
func (at place) checkOffer(o offer) {
	must(o.purpose == at.purpose, "INIT has the purpose %s, where it has to be %s", purposeNames[o.purpose], purposeNames[at.purpose])
	must(offers(o.suites, at.suite), "INIT does not offer suite %d", at.suite)
	if at.isInner {
		must(len(o.suites) == 1, "INIT in AUTH offers more than cpace")
		must(o.kem == kemNone, "INIT in AUTH offers a KEM, which this reader has no key for")
	}
	if at.onTLS {
		must(bytes.Equal(o.ciphers, []byte{cipherTLS}), "INIT offers other ciphers than tls on TLS")
	} else {
		must(!offers(o.ciphers, cipherTLS), "INIT offers the cipher tls where no TLS is: there is no channel binding")
	}
}

// readResp gives the cipher and the KEM ciphertext, nil without a KEM.
func (at place) readResp(body []byte, o offer, g given) (int, []byte) {
	c := &cursor{body, "RESP"}
	must(c.u8() == 1, "RESP chose another version")
	must(c.u8() == at.suite, "RESP chose another suite than %d", at.suite)
	cipher := c.u8()
	must(cipher != cipherTLS || at.onTLS, "RESP chose the cipher tls where no TLS is: there is no channel binding")
	must(offers(o.ciphers, cipher), "RESP chose a cipher that was not offered")
	if at.suite == suiteNoise {
		must(len(body) >= noiseRespBytes, "RESP has %d bytes", len(body))
		must(!bytes.Equal(c.take(shareBytes), o.share), "both shares are equal")
		sealed := len(body) - noiseRespBytes
		must(sealed == len(g.kemCiphertext), "RESP has a KEM ciphertext of %d bytes, and %d are given", sealed, len(g.kemCiphertext))
		if sealed == 0 {
			return cipher, nil
		}
		must(o.kem == kemMlKem768, "RESP chose a KEM that was not offered")
		must(sealed == mlkem.CiphertextSize768, "the KEM ciphertext has %d bytes", sealed)
		return cipher, g.kemCiphertext
	}
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
	return cipher, ciphertext
}

// confirmed is what a handshake ends with.
type confirmed struct {
	cipher int
	// SHA-256 of the transcript.
	hash                 []byte
	initiatorToResponder []byte
	responderToInitiator []byte
}

// openHandshake reads the four frames off both directions, derives the keys and verifies both confirmations.
func openHandshake(initiator, responder *cursor, at place, g given) confirmed {
	init, initBody := takeFrame(initiator, frameInit, "INIT"+at.where())
	resp, respBody := takeFrame(responder, frameResp, "RESP"+at.where())
	confirmI, confirmIBody := takeFrame(initiator, frameConfirmInitiator, "CONFIRM_I"+at.where())
	_, confirmRBody := takeFrame(responder, frameConfirmResponder, "CONFIRM_R"+at.where())
	offered := readInit(initBody)
	at.checkOffer(offered)
	cipher, ciphertext := at.readResp(respBody, offered, g)

	must(len(g.suiteSecret) == 64, "the secret of the suite has %d bytes", len(g.suiteSecret))
	ikm := g.suiteSecret
	if ciphertext != nil {
		ikm = append(bytes.Clone(ikm), decapsulate(g.kemSeed, offered.kemPublic, ciphertext)...)
	}
	context := bytes.Join([][]byte{lv([]byte("sealift/1")), lv([]byte(purposeNames[at.purpose])), lv(at.binding)}, nil)
	transcript := bytes.Join([][]byte{context, init, resp}, nil)
	hash := sha256.Sum256(transcript)
	prk, err := hkdf.Extract(sha256.New, ikm, hash[:])
	must(err == nil, "HKDF-Extract: %v", err)
	label := func(name string) []byte { return expand(prk, "sealift/1 "+name, 32) }

	noise3 := 0
	if at.suite == suiteNoise {
		noise3 = noise3Bytes
	}
	must(len(confirmIBody) == noise3+macBytes, "CONFIRM_I%s has %d bytes", at.where(), len(confirmIBody))
	must(len(confirmRBody) == macBytes, "CONFIRM_R%s has %d bytes", at.where(), len(confirmRBody))
	said := bytes.Join([][]byte{transcript, confirmIBody[:noise3]}, nil)
	must(hmac.Equal(confirmIBody[noise3:], mac(label("confirm i"), said)), "the MAC of CONFIRM_I%s is wrong", at.where())
	must(hmac.Equal(confirmRBody, mac(label("confirm r"), append(transcript, confirmI...))), "the MAC of CONFIRM_R%s is wrong", at.where())
	return confirmed{cipher, hash[:], label("i2r"), label("r2i")}
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
