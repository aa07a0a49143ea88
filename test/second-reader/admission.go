package main

// How a server lets a client in (1.10): what stands before HELLO, and the handshake inside the session.

import "encoding/binary"

const (
	needsNothing      = "nothing"
	minAuthBytes      = 8
	maxAuthBytes      = 8 + maxFrameBody
	maxAdmissionBytes = 4104
)

// splitAdmission gives the bodies of AUTH end to end, and what was said once the client was in.
func splitAdmission(said []message, side string) (frames []byte, needs string, rest []message) {
	needs = needsNothing
	for at, m := range said {
		switch m.kind {
		case typeAdmit:
			must(len(m.body) <= maxAdmissionBytes, "ADMIT has %d bytes", len(m.body))
			if asked := readAdmit(m); asked != needsNothing {
				needs = asked
			}
		case typeAuth:
			must(len(m.body) >= minAuthBytes && len(m.body) <= maxAuthBytes, "AUTH of the %s has %d bytes", side, len(m.body))
			must(int(binary.BigEndian.Uint16(m.body[6:])) == len(m.body)-8, "AUTH of the %s is not one whole frame", side)
			frames = append(frames, m.body...)
		default:
			return frames, needs, said[at:]
		}
	}
	return frames, needs, nil
}

// checkAdmission verifies the handshake inside, which is bound to the session around it by that one's hash.
func checkAdmission(clientFrames, serverFrames []byte, needs string, hash, isk []byte) {
	client := &cursor{clientFrames, "AUTH of the client"}
	server := &cursor{serverFrames, "AUTH of the server"}
	if needs != needsNothing {
		openHandshake(client, server, place{suite: suiteCpace, purpose: purposeServer, binding: hash, isInner: true}, given{suiteSecret: isk})
	}
	client.end()
	server.end()
}
