// Package stores opens the places that commands name by URI, with credentials from the environment.
package stores
