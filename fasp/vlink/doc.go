// Package vlink keeps the sum of many sessions within caps: of the host, of virtual links (vlinks), and of keys, in each direction.
//
// # Nouns
//
// A [Link] is a vlink: a name, caps, a weight and a schedule. [Links] is the set of them with the sessions that have joined. A [Session] is a
// fasp.Session that has joined: whatever the layer above asks for, it gets at most its share.
//
// # How a cap is divided
//
// Shares are weighted max-min: nobody can be given more without taking it from somebody whose share, by weight, is not larger. The host's cap is
// divided among vlinks by [Link.Weight], a vlink's among its sessions. A key with a cap is a bound within its vlink; it has no weight of its own, so that
// a session weighs the same whether its key has a cap or not. A session that sends weighs by its policy: high 2, fair and fixed 1, low 0.1. What peers
// send weighs 1 each, because their policy is not known here.
//
// What a session wants is measured ([Period], over 200 ms). One that uses nine tenths of its share wants all it may have. One that uses less,
// because of the network, the disk, the peer, or because it is idle, wants its use and a quarter, and a hundredth of an equal share to come back by; the rest goes to the
// others. The peer of a session that sends is left room for its reports. What nobody wants is handed out too, so that the limits of all sessions always add up to the cap.
//
// # Directions
//
// Out is what this side sends: its rate is cut at once. In is what peers send, whether it arrives or not: they are granted a rate, and
// a change takes a round trip to be felt. Until the others have heard, somebody who joins is on top of them.
//
// # Limits
//
// Caps count IP bytes, those of reports included; but reports are sent even if that is above the share. No session sends less than
// 1 kbit/s. An endpoint's handshakes, and what sessions send before they join, are not counted.
package vlink
