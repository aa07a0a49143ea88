package main

// The manifest of section 2.3, rebuilt from its pages and checked against OFFER.

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	kindFile = iota
	kindFolder
	kindLink
)

type entry struct {
	kind   int
	mode   int
	path   string
	parent int
	// Of a file: where its content begins, and how long it is.
	offset uint64
	size   uint64
	target string
}

// readManifest reads the entries of all pages. The digest is over their bytes end to end.
func readManifest(pages [][]byte, o offerFields) []entry {
	var entries []entry
	digest := sha256.New()
	var total, files uint64
	// The folders that are still open, the innermost last, and the last name that each has, the roots' first.
	open := []int{-1}
	lastNames := []string{""}
	for _, page := range pages {
		must(len(page) <= maxPageBytes, "a page of the manifest has %d bytes", len(page))
		digest.Write(page)
		for c := (&cursor{page, "a manifest entry"}); len(c.rest) > 0; {
			e := entry{kind: c.u8(), offset: total}
			must(e.kind <= kindLink, "entry %d is of kind %d", len(entries), e.kind)
			must(c.u8() <= 9, "entry %d has a priority over 9", len(entries))
			e.mode = c.u16()
			must(e.mode <= 0o7777, "entry %d has a mode of %o", len(entries), e.mode)
			c.take(8)
			e.parent = int(c.u32()) - 1
			name := string(c.take(c.u8()))
			checkName(name)
			for len(open) > 1 && open[len(open)-1] != e.parent {
				open, lastNames = open[:len(open)-1], lastNames[:len(lastNames)-1]
			}
			level := len(open) - 1
			must(open[level] == e.parent, "entry %d is in no folder that is open", len(entries))
			must(lastNames[level] < name, "entry %d is out of order", len(entries))
			lastNames[level] = name
			e.path = name
			if e.parent >= 0 {
				e.path = entries[e.parent].path + "/" + name
			}
			must(len(e.path) <= 4096, "entry %d has a path of %d bytes", len(entries), len(e.path))
			switch e.kind {
			case kindFile:
				e.size = c.u64()
				total += e.size
				files++
				must(total <= maxInteger, "the sizes add up to more than 2^53 - 1")
			case kindFolder:
				open, lastNames = append(open, len(entries)), append(lastNames, "")
			case kindLink:
				must(e.parent >= 0, "a root is a link")
				e.target = string(c.take(c.u16()))
			}
			entries = append(entries, e)
		}
	}
	must(uint64(len(entries)) == *o.Entries, "the manifest has %d entries, OFFER %d", len(entries), *o.Entries)
	must(files == *o.Files, "the manifest has %d files, OFFER %d", files, *o.Files)
	must(total == *o.Bytes, "the manifest has %d bytes, OFFER %d", total, *o.Bytes)
	must(hex.EncodeToString(digest.Sum(nil)) == o.Digest, "the digest of the manifest is not that of OFFER")
	return entries
}

func checkName(name string) {
	bad := name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name)
	must(!bad, "the manifest has a name that is none: %q", name)
}
