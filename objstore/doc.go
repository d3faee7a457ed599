// Package objstore moves bytes to and from object stores, in parts that go in parallel, survive faults and can be resumed
// from anywhere, in bounded memory.
//
// # Nouns
//
// A [Driver] is one place on one platform, such as a bucket of S3; it does single requests and says in [Caps] what the
// platform can do. A [Bucket] is what programs use: NewBucket puts retries, adaptive parallelism, hedging, part plans and
// memory bounds above a Driver. A [Writer] is an upload under way, made of parts that go in any order; its [Upload] can be
// kept, sent elsewhere and resumed there. A [Plan] says which bytes each part has. A [Reader] reads an object in order
// while several ranges of it are under way. A [Pool] bounds the memory of all that share it. A [URI] names a place, and
// [Schemes] are the platforms that a program knows.
//
// # Requests
//
// Every request of a Bucket takes its turn in one limiter. It begins with 16 at a time, lets in one more after each
// round of successes and half as many when the store says that it is busy. A request that failed for a passing reason is
// made again, after a growing random pause or the one that the store asks for. The error that remains is an [*Error],
// which names operation, key, kind and cause.
//
// A part that takes much longer than others is sent a second time, and the first answer counts. The body of a part or
// object is never read after the call that it was given to has returned, whatever a transport still does with it.
//
// # Reading
//
// A Reader pins the object with its first answer: if the object is replaced meanwhile, reading ends with Changed and never
// mixes two versions. A range whose body breaks off or stalls goes on from where it stopped.
//
// # Memory
//
// Streams of unknown kind are gathered in part buffers, and these are taken from the Pool before they are filled. Sources
// that are an io.ReaderAt need none. Reading ahead takes at most half of the pool and never waits for it, so that a
// Reader whose bytes go into a Write of the same pool cannot hold up the other, as long as a part is at most half of it.
//
// # Concurrency and cancellation
//
// Methods of Bucket, Writer and Pool may be called by several goroutines at once; a Reader is for one, but Close may come
// from another. When a context ends, the call that has it returns as soon as the requests it began have ended.
//
// # Limits
//
// IfAbsent on platforms without it is a look before the write, and two writers may both pass. Whether a completion whose
// answer was lost has happened is judged by size, attributes and time of the object found. Local, ordered and sizeless
// platforms are told apart only by Caps.
package objstore
