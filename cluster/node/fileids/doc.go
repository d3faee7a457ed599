// Package fileids serves the calls of the Node API about files by their ids, and those about permissions (docs/api.md sections 11 and 12), for package nodeapi.
//
// [Files] gives each file of a place an id, once it is listed or made, in the state store; the place is that of an access key. An id stands for a path: it follows what is renamed
// through the API, and is given up when the file is gone. So that renames and deletes by path are followed, too, the server opens places through [Files.Places]; and so that a new key
// does not come upon what one of the same id has left, it changes keys through [Files.Keys].
//
// A permission lets a user or group, as bearer tokens of the scope user:all name them, do something with a file or a folder and all below it. The calls about ids ask it; calls by
// path refuse such tokens. To who has none for a file, it looks as if the file was not there.
package fileids
