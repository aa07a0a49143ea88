package main

// A session from its first byte to the last: the handshake that its kind has, its records, and who spoke in which order.

// session is what was said in one, by role, and how it was sealed.
type session struct {
	sender, receiver []message
	how              string
}

func (file recording) open() session {
	initiator := &cursor{fromHex(file.InitiatorToResponder, "initiatorToResponder"), "the initiator's direction"}
	responder := &cursor{fromHex(file.ResponderToInitiator, "responderToInitiator"), "the responder's direction"}
	binding := fromHex(file.ChannelBinding, "channelBinding")
	isk := fromHex(file.Isk, "isk")
	g := given{isk, fromHex(file.KemSeed, "kemSeed"), nil}
	at := place{suite: suiteCpace, purpose: purposeDirect}
	// Whoever has a result of Noise recorded a session with a server; INIT has to agree.
	isServer := file.Noise != ""
	if isServer {
		must(len(binding) == 0 || len(binding) == 32, "the channel binding has %d bytes", len(binding))
		at = place{suite: suiteNoise, purpose: purposeServer, binding: binding, onTLS: len(binding) > 0}
		g.suiteSecret = fromHex(file.Noise, "noise")
		g.kemCiphertext = fromHex(file.KemCiphertext, "kemCiphertext")
	} else {
		must(len(binding) == 0, "a direct transfer has a channel binding")
	}
	keys := openHandshake(initiator, responder, at, g)
	fromInitiator := readRecords(initiator, keys.cipher, keys.initiatorToResponder)
	fromResponder := readRecords(responder, keys.cipher, keys.responderToInitiator)
	if !isServer {
		s := session{readMessages(fromResponder, "sender"), readMessages(fromInitiator, "receiver"), "direct, cpace"}
		checkConversation("greeting", s.sender, s.receiver)
		return s
	}
	s := session{sender: readMessages(fromInitiator, "sender"), receiver: readMessages(fromResponder, "receiver")}
	checkConversation("admitting", s.sender, s.receiver)
	clientFrames, _, sender := splitAdmission(s.sender, "client")
	serverFrames, needs, receiver := splitAdmission(s.receiver, "server")
	checkAdmission(clientFrames, serverFrames, needs, keys.hash, isk)
	how := "server, noise-xx"
	if at.onTLS {
		how += " on TLS"
	}
	return session{sender, receiver, how + ", asked for " + needs}
}

func readRecords(stream *cursor, cipher int, secret []byte) [][]byte {
	if cipher == cipherTLS {
		return readPlainRecords(stream)
	}
	must(cipher == cipherAesGcm, "the records are sealed with cipher %d, which Go's standard library does not have", cipher)
	return openRecords(stream, secret)
}
