package api

import (
	"fmt"
	"net/http"
)

// Error is what went wrong, in an answer of its own or with one path of a call that takes several. Match it with errors.As.
type Error struct {
	Code        int    `json:"code"`   // HTTP status, also where it stands with a path inside an answer whose own status is 200
	Reason      string `json:"reason"` // the status in words
	UserMessage string `json:"user_message"`
}

// Errorf makes an Error of an HTTP status and a text for the user.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Code: status, Reason: http.StatusText(status), UserMessage: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d %s)", e.UserMessage, e.Code, e.Reason) }

// ErrorBody is the body of an answer that is an error.
type ErrorBody struct {
	Error *Error `json:"error"`
}
