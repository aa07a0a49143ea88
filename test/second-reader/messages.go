package main

// The messages of section 2.3, and who may say what when (2.7). The two directions were recorded apart: what is checked
// is that they can be laid into each other so that each message is one that its side may say.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

const (
	typeHello = 1 + iota
	typeOffer
	typeManifest
	typeAccept
	typeReject
	typeStates
	typeSafe
	typeChunk
	typeDigests
	typeAck
	typeNack
	typeEntryFailed
	typeEntryEnd
	typeDone
	typePing
	typePong
	typeClose
	typeAdmit
	typeAuth
	typeQueued
)

const (
	maxPageBytes = 256 << 10
	maxJSONBytes = 64 << 10
)

type message struct {
	kind int
	body []byte
}

func readMessages(plaintexts [][]byte, side string) []message {
	var said []message
	for i, text := range plaintexts {
		m := message{int(text[0]), text[1:]}
		must(m.kind >= typeHello && m.kind <= typeQueued, "the %s says a message of type %d", side, m.kind)
		if m.kind == typePing || m.kind == typePong {
			must(len(m.body) == 0, "a ping or pong is not empty")
			continue
		}
		must((m.kind == typeClose) == (i == len(plaintexts)-1), "the last record of the %s is no CLOSE, or not the last", side)
		said = append(said, m)
	}
	must(len(said) > 0, "the %s says nothing", side)
	return said
}

// step is one row of the table of 2.7. Whether a page is the last one, and whether a manifest is known, is in `when`.
type step struct {
	state string
	kind  int
	when  string
	next  string
}

var senderSteps = []step{
	{"proving", typeAuth, "", "judging"},
	{"offering", typeOffer, "new", "listing"},
	{"offering", typeOffer, "known", "deciding"},
	{"listing", typeManifest, "more", "listing"},
	{"listing", typeManifest, "last", "deciding"},
	{"moving", typeChunk, "", "moving"},
	{"moving", typeDigests, "", "moving"},
	{"moving", typeEntryFailed, "", "moving"},
	{"moving", typeEntryEnd, "", "moving"},
}

var receiverSteps = []step{
	{"admitting", typeAdmit, "nothing", "greeting"},
	{"admitting", typeAdmit, "secret", "proving"},
	{"proving", typeAdmit, "nothing", "greeting"},
	{"judging", typeAuth, "", "proving"},
	{"greeting", typeHello, "", "offering"},
	{"listing", typeReject, "", "ending"},
	{"deciding", typeQueued, "", "deciding"},
	{"deciding", typeAccept, "", "surveying"},
	{"deciding", typeReject, "", "ending"},
	{"surveying", typeStates, "", "surveying"},
	{"surveying", typeSafe, "more", "surveying"},
	{"surveying", typeSafe, "last", "moving"},
	{"moving", typeAck, "", "moving"},
	{"moving", typeNack, "", "moving"},
	{"moving", typeStates, "", "moving"},
	{"moving", typeDone, "", "ending"},
}

func when(m message) string {
	switch m.kind {
	case typeOffer:
		if readOffer(m).ManifestFollows {
			return "new"
		}
		return "known"
	case typeManifest, typeSafe:
		c := &cursor{m.body, "a page"}
		if c.flag() {
			return "last"
		}
		return "more"
	case typeAdmit:
		if readAdmit(m) == needsNothing {
			return needsNothing
		}
		return "secret"
	}
	return ""
}

func findStep(steps []step, state string, m message) *step {
	for i, s := range steps {
		if s.state == state && s.kind == m.kind && s.when == when(m) {
			return &steps[i]
		}
	}
	return nil
}

// checkConversation lays both sides into each other. What the sender may say it says first: while content moves, that is
// the order in which the receiver can have heard it. `state` is the one that the purpose begins with.
func checkConversation(state string, sender, receiver []message) {
	for sender[0].kind != typeClose || receiver[0].kind != typeClose {
		if s := findStep(senderSteps, state, sender[0]); s != nil {
			state, sender = s.next, sender[1:]
		} else if s := findStep(receiverSteps, state, receiver[0]); s != nil {
			state, receiver = s.next, receiver[1:]
		} else {
			fail("in the state %s nobody may say what comes: type %d of the sender, type %d of the receiver", state, sender[0].kind, receiver[0].kind)
		}
	}
	must(state == "ending", "the conversation ends in the state %s", state)
	for _, m := range []message{sender[0], receiver[0]} {
		c := &cursor{m.body, "CLOSE"}
		code := c.u16()
		c.end()
		must(code == 0, "the session was closed with wire code %d", code)
	}
}

type admitFields struct {
	Needs string `json:"needs"`
}

type helloFields struct {
	Name          *string `json:"name"`
	MaxChunkBytes *uint64 `json:"maxChunkBytes"`
}

type offerFields struct {
	TransferID      string  `json:"transferId"`
	Name            *string `json:"name"`
	MaxChunkBytes   *uint64 `json:"maxChunkBytes"`
	Entries         *uint64 `json:"entries"`
	Files           *uint64 `json:"files"`
	Bytes           *uint64 `json:"bytes"`
	Digest          string  `json:"digest"`
	ManifestFollows bool    `json:"manifestFollows"`
}

type acceptFields struct {
	Epoch *uint32 `json:"epoch"`
}

type doneFields struct {
	Published *uint64 `json:"published"`
	Skipped   *uint64 `json:"skipped"`
	Failed    *uint64 `json:"failed"`
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func readJSON[Fields any](m message, name string) Fields {
	var fields Fields
	must(len(m.body) <= maxJSONBytes, "%s has %d bytes", name, len(m.body))
	err := json.NewDecoder(bytes.NewReader(m.body)).Decode(&fields)
	must(err == nil, "%s: %v", name, err)
	return fields
}

func readAdmit(m message) string {
	needs := readJSON[admitFields](m, "ADMIT").Needs
	must(needs == needsNothing || needs == "token" || needs == "password", "ADMIT asks for %q", needs)
	return needs
}

func readHello(m message) helloFields {
	h := readJSON[helloFields](m, "HELLO")
	must(h.Name != nil && h.MaxChunkBytes != nil && *h.MaxChunkBytes >= 65536, "HELLO lacks a field, or has one out of bounds")
	return h
}

func readOffer(m message) offerFields {
	o := readJSON[offerFields](m, "OFFER")
	complete := o.Name != nil && o.MaxChunkBytes != nil && o.Entries != nil && o.Files != nil
	must(complete && *o.MaxChunkBytes >= 65536, "OFFER lacks a field, or has one out of bounds")
	must(*o.Entries <= 1000000 && *o.Files <= *o.Entries, "OFFER has %d entries, %d files", *o.Entries, *o.Files)
	must(uuidForm.MatchString(o.TransferID) && hashForm.MatchString(o.Digest), "OFFER has no id or no digest")
	must(o.Bytes != nil, "the length of what is sent is not known; this reader wants one that is")
	return o
}

func readAccept(m message) uint32 {
	a := readJSON[acceptFields](m, "ACCEPT")
	must(a.Epoch != nil, "ACCEPT has no epoch")
	return *a.Epoch
}

func readDone(m message) string {
	d := readJSON[doneFields](m, "DONE")
	must(d.Published != nil && d.Skipped != nil && d.Failed != nil, "DONE lacks a count")
	return doneText(*d.Published, *d.Skipped, *d.Failed)
}

func doneText(published, skipped, failed uint64) string {
	return fmt.Sprintf("%d published, %d skipped, %d failed", published, skipped, failed)
}
