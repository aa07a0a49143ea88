package main

// Integers, lengths and lists as section 0 of the protocol has them. A fault ends the reading at once: whoever reads a
// recorded session has no other side to tell.

import (
	"encoding/binary"
	"fmt"
)

const maxInteger = 1<<53 - 1

// fault is what is wrong with the session; it is caught in main and nowhere else.
type fault string

func fail(format string, values ...any) {
	panic(fault(fmt.Sprintf(format, values...)))
}

func must(holds bool, format string, values ...any) {
	if !holds {
		fail(format, values...)
	}
}

// cursor reads fields one after another out of one structure.
type cursor struct {
	rest []byte
	of   string
}

func (c *cursor) take(n int) []byte {
	must(n <= len(c.rest), "%s is too short", c.of)
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) u8() int     { return int(c.take(1)[0]) }
func (c *cursor) u16() int    { return int(binary.BigEndian.Uint16(c.take(2))) }
func (c *cursor) u32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }

func (c *cursor) u64() uint64 {
	value := binary.BigEndian.Uint64(c.take(8))
	must(value <= maxInteger, "%s holds a number over 2^53 - 1", c.of)
	return value
}

func (c *cursor) flag() bool {
	value := c.u8()
	must(value <= 1, "%s has a flag that is neither 0 nor 1", c.of)
	return value == 1
}

// list is a u8 count and that many bytes, one at the least.
func (c *cursor) list() []byte {
	n := c.u8()
	must(n >= 1 && n <= 16, "%s has a list of %d", c.of, n)
	return c.take(n)
}

func (c *cursor) end() {
	must(len(c.rest) == 0, "%s has %d bytes left over", c.of, len(c.rest))
}

// lv is the length as LEB128, then the bytes.
func lv(value []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(value))), value...)
}
