// Package pipe writes objects into an [io.Writer], such as standard output: a place that takes one object after the
// other, each as one ordered stream, and keeps none. Parts come in order, so that nothing but what arrives early stands in
// memory. What cannot be taken back is not: an upload that is aborted has written what it had written.
package pipe
