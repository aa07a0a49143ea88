package main

// What was sent, put together again: chunks into the content, digests against it, and what the receiver says about it.

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
)

const (
	codecNone       = 0
	codecGzip       = 2
	maxChunkBytes   = 1 << 20
	maxContentBytes = 1 << 30
	maxPageRanges   = 16383
	stateFailed     = 6
	statePublished  = 4
	stateSkipped    = 5
)

// content is the bytes of all files end to end, with what of it has come and what the receiver says is safe.
type content struct {
	bytes []byte
	came  []bool
	safe  []bool
	// How many chunks came under each codec.
	chunks map[int]int
}

func newContent(sizeBytes uint64) *content {
	must(sizeBytes <= maxContentBytes, "the content has %d bytes, too many for this reader", sizeBytes)
	return &content{make([]byte, sizeBytes), make([]bool, sizeBytes), make([]bool, sizeBytes), map[int]int{}}
}

// add takes a CHUNK of 2.2. A chunk of another epoch is passed over.
func (all *content) add(body []byte, epoch uint32) {
	c := &cursor{body, "a chunk"}
	codec := c.u8()
	must(c.u16() == 0, "a chunk has reserved bytes that are not 0")
	ofEpoch := c.u32()
	offset := c.u64()
	rawBytes := uint64(c.u32())
	must(bytes.Count(c.take(44), []byte{0}) == 44, "a chunk has reserved bytes that are not 0")
	packed := c.rest
	must(rawBytes >= 1 && rawBytes <= maxChunkBytes, "a chunk has a raw length of %d", rawBytes)
	must(len(packed) >= 1 && uint64(len(packed)) <= rawBytes, "a chunk of %d bytes has %d packed ones", rawBytes, len(packed))
	must(offset+rawBytes <= uint64(len(all.bytes)), "a chunk ends beyond the content")
	if ofEpoch != epoch {
		return
	}
	copy(all.bytes[offset:], unpack(codec, packed, rawBytes))
	mark(all.came, offset, offset+rawBytes)
	all.chunks[codec]++
}

func unpack(codec int, packed []byte, rawBytes uint64) []byte {
	switch codec {
	case codecNone:
		must(uint64(len(packed)) == rawBytes, "a chunk that is not packed has another length than it says")
		return packed
	case codecGzip:
		reader, err := gzip.NewReader(bytes.NewReader(packed))
		must(err == nil, "gzip: %v", err)
		raw, err := io.ReadAll(io.LimitReader(reader, int64(rawBytes)+1))
		must(err == nil, "gzip: %v", err)
		must(uint64(len(raw)) == rawBytes, "a chunk unpacks to another length than it says")
		return raw
	}
	fail("a chunk is packed with codec %d, which Go's standard library does not have", codec)
	return nil
}

func mark(flags []bool, start, end uint64) {
	for at := start; at < end; at++ {
		flags[at] = true
	}
}

// readRanges marks what a page of ranges (3.4) holds as safe. `floor` is where the page before ended, in one SAFE.
func (all *content) readRanges(page []byte, floor int64) int64 {
	must(len(page)%16 == 0 && len(page)/16 <= maxPageRanges, "a page of ranges has %d bytes", len(page))
	for c := (&cursor{page, "a page of ranges"}); len(c.rest) > 0; {
		start, end := c.u64(), c.u64()
		must(int64(start) > floor && end > start && end <= uint64(len(all.bytes)), "a range is empty, out of order or beyond the content")
		mark(all.safe, start, end)
		floor = int64(end)
	}
	return floor
}

// readDigests takes the pairs of DIGESTS; an entry may be told again, after NACK.
func readDigests(body []byte, entries []entry, digests map[int][]byte) {
	must(len(body) > 0, "DIGESTS is empty")
	for c := (&cursor{body, "DIGESTS"}); len(c.rest) > 0; {
		at := int(c.u32())
		must(at < len(entries) && entries[at].kind == kindFile, "there is a digest of what is no file")
		digests[at] = c.take(sha256.Size)
	}
}

// readStates takes the runs of STATES.
func readStates(body []byte, states []int) {
	for c := (&cursor{body, "STATES"}); len(c.rest) > 0; {
		first, count := int(c.u32()), int(c.u32())
		state, code := c.u8(), c.u16()
		must(count >= 1 && first+count <= len(states), "STATES tells of entries that there are not")
		must(state <= stateFailed && (state == stateFailed || code == 0), "STATES has state %d with wire code %d", state, code)
		for at := first; at < first+count; at++ {
			states[at] = state
		}
	}
}

// checkFile looks at a published file: its content is whole, safe, and has the digest that the sender told.
func (all *content) checkFile(at int, e entry, digests map[int][]byte) [32]byte {
	end := e.offset + e.size
	for b := e.offset; b < end; b++ {
		must(all.came[b] && all.safe[b], "%q lacks byte %d", e.path, b-e.offset)
	}
	sum := sha256.Sum256(all.bytes[e.offset:end])
	told, isTold := digests[at]
	must(isTold == (e.size > 0), "%q has no digest, or one although it is empty", e.path)
	must(e.size == 0 || bytes.Equal(told, sum[:]), "%q has another SHA-256 than DIGESTS says", e.path)
	return sum
}
