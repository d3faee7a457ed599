// Package jobs runs transfers that a node was asked for, and remembers those and all others that went through it.
//
// A job is a transfer between the place of an access key and another node, begun here. It is kept in the state store from the moment that [Manager.Create] returns, with its
// specification sealed, and waits until there is a slot; what fails for a passing reason is tried again; a node that stops or dies goes on with its jobs when it runs again, from where the
// files are. Jobs are canceled, paused, resumed and given other rates by [Manager.Change].
//
// Waiting goes by a time that never goes back, so that a clock on the wall that is set holds nothing up; what is told to people is the time on the wall.
//
// Sessions that clients begin are told to [Manager.Served], which makes a transfer of each, so that both look alike. Files are kept up to a bound for each session; beyond
// it they are counted. What is recorded goes through a queue: it never slows a transfer, and progress that was not written yet is replaced by newer. How fast transfers of the last hour were is
// kept in memory alone.
//
//	waiting --slot--> running --> completed, partially_completed, failed, canceled
//	                  running --passing failure, or the node stops--> waiting
//	waiting, running --> paused --> waiting
package jobs
