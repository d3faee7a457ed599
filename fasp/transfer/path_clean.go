package transfer

// CleanPath makes a name of a Store, "." for the place itself, out of what a user wrote: "/a/./b/" becomes "a/b". Refused with CodeBadPath or CodePathTooLong are "..",
// NUL, names of partial files, and what this system cannot hold, such as backslashes on Windows. What passes may still lead out through a symbolic link; Stores refuse that.
func CleanPath(p string) (string, error) {
	name, err := cleanPath(p)
	if err != nil || name == "." {
		return name, err
	}
	return name, checkName(name)
}
