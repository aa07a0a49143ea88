// A second reader of Sealift's protocol: written from docs/protocol.md and not from the code, with nothing but Go's
// standard library. It opens a recorded session, given what the secrets of both sides led to, checks all of it and lists
// what was sent: a direct transfer, or a push to a server with TLS below it or without.
//
//	second-reader recorded-session.json
//
// One line on standard error and exit 1 say what is wrong. ChaCha20-Poly1305 and zstd are not in Go's standard library:
// a session has to be recorded with AES-256-GCM or on TLS, and with gzip or no codec; and of Noise its result is given, so
// what is sealed in its messages is covered by the MACs of the handshake and not opened.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

// recording is what the file holds. All byte strings are hex.
type recording struct {
	InitiatorToResponder string `json:"initiatorToResponder"`
	ResponderToInitiator string `json:"responderToInitiator"`
	// Of the token: in a direct transfer of its handshake, with a server of the one inside the session.
	Isk     string `json:"isk"`
	KemSeed string `json:"kemSeed"`
	// With a server: both keys of Noise, the ciphertext of ML-KEM, and on TLS its exporter.
	Noise          string `json:"noise"`
	KemCiphertext  string `json:"kemCiphertext"`
	ChannelBinding string `json:"channelBinding"`
}

func main() {
	defer func() {
		if thrown := recover(); thrown != nil {
			why, isFault := thrown.(fault)
			if !isFault {
				panic(thrown)
			}
			fmt.Fprintf(os.Stderr, "second-reader: %s\n", string(why))
			os.Exit(1)
		}
	}()
	must(len(os.Args) == 2, "one file is wanted")
	text, err := os.ReadFile(os.Args[1])
	must(err == nil, "%v", err)
	var file recording
	err = json.Unmarshal(text, &file)
	must(err == nil, "%v", err)
	readSession(file)
}

func fromHex(text, of string) []byte {
	value, err := hex.DecodeString(text)
	must(err == nil, "%s: %v", of, err)
	return value
}

func readSession(file recording) {
	opened := file.open()
	sender, receiver := opened.sender, opened.receiver
	readHello(receiver[0])
	offered := readOffer(sender[0])
	var pages [][]byte
	for _, m := range sender {
		if m.kind == typeManifest {
			pages = append(pages, m.body[1:])
		}
	}
	must(offered.ManifestFollows, "the manifest was sent in another session")
	entries := readManifest(pages, offered)
	all := newContent(*offered.Bytes)
	states := make([]int, len(entries))
	var epoch uint32
	var told string
	floor := int64(-1)
	for _, m := range receiver {
		switch m.kind {
		case typeAccept:
			epoch = readAccept(m)
		case typeReject:
			fail("the receiver said no")
		case typeStates:
			readStates(m.body, states)
		case typeSafe:
			floor = all.readRanges(m.body[1:], floor)
		case typeAck:
			all.readRanges(m.body, -1)
		case typeNack:
			fail("the receiver asked for a file once more; this reader wants a session without faults")
		case typeDone:
			told = readDone(m)
		}
	}
	digests := map[int][]byte{}
	for _, m := range sender {
		switch m.kind {
		case typeChunk:
			all.add(m.body, epoch)
		case typeDigests:
			readDigests(m.body, entries, digests)
		case typeEntryFailed, typeEntryEnd:
			fail("the sender gave up a file, or sends a stream; this reader wants neither")
		}
	}
	fmt.Printf("session %s\n", opened.how)
	list(entries, states, all, digests, told)
	plain, packed := all.chunks[codecNone], all.chunks[codecGzip]
	fmt.Printf("transfer %s: %s; %d bytes in chunks, %d plain and %d gzip\n", offered.TransferID, told, *offered.Bytes, plain, packed)
}

func list(entries []entry, states []int, all *content, digests map[int][]byte, told string) {
	var published, skipped, failed uint64
	for at, e := range entries {
		must(states[at] >= statePublished && states[at] <= stateFailed, "%q ended in state %d, which is not a last one", e.path, states[at])
		if e.kind != kindFile {
			if e.kind == kindLink {
				fmt.Printf("link    %04o %q -> %q\n", e.mode, e.path, e.target)
			} else {
				fmt.Printf("folder  %04o %q\n", e.mode, e.path)
			}
			continue
		}
		switch states[at] {
		case statePublished:
			published++
			sum := all.checkFile(at, e, digests)
			fmt.Printf("file    %04o %q %d bytes sha256 %s\n", e.mode, e.path, e.size, hex.EncodeToString(sum[:]))
		case stateSkipped:
			skipped++
		case stateFailed:
			failed++
		}
	}
	counted := doneText(published, skipped, failed)
	must(counted == told, "DONE says %s; STATES say %s", told, counted)
}
