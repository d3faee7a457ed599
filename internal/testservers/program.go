package testservers

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Names of what can be installed. All but RcloneName are servers.
const (
	MinIOName     = "minio"
	VersityGWName = "versitygw"
	MotoName      = "moto"
	RcloneName    = "rclone"
)

// groupS3 is the word of TRADEWIND_REQUIRE for all programs that the S3 tests want.
const groupS3 = "s3"

// program is something that can be installed, and what is needed to run it as a server.
type program struct {
	name    string
	version string
	groups  []string
	path    string // of the executable below its folder, without the suffix of the system
	module  string // package for go install, "" = none
	python  string // requirement for pip, "" = none

	server *serverSpec // nil for a client
}

// serverSpec is how a server is started.
type serverSpec struct {
	accessKey, secretKey, region string
	health                       string // path that answers 200 once the server is ready
	// prepare makes what the server needs below dir, once.
	prepare func(dir string) error
	// command returns arguments and environment for a server on addr (host:port) with its data below dir.
	command func(s *Server) (args, env []string, err error)
}

// kmsKey is the name of the key that MinIO encrypts with.
const kmsKey = "test-key"

// programs returns all of them.
func programs() []program {
	return []program{
		{
			name: MinIOName, version: "v0.0.0-20260212201848-7aac2a2c5b7c", groups: []string{groupS3},
			path: "minio", module: "github.com/minio/minio",
			server: &serverSpec{
				accessKey: "minioadmin", secretKey: "minioadmin-secret", region: "us-east-1",
				health:  "/minio/health/ready",
				prepare: prepareMinIO,
				command: func(s *Server) (args, env []string, err error) {
					key, err := os.ReadFile(filepath.Join(s.Dir, "kms.key"))
					if err != nil {
						return nil, nil, err
					}
					s.KMSKey = kmsKey
					return []string{"server", "--quiet", "--address", s.Endpoint, filepath.Join(s.Dir, "data")},
						[]string{
							"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
							"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off", "MINIO_PROMETHEUS_AUTH_TYPE=public",
							"MINIO_KMS_SECRET_KEY=" + string(key),
						}, nil
				},
			},
		},
		{
			name: VersityGWName, version: "v1.8.0", groups: []string{groupS3},
			path: "versitygw", module: "github.com/versity/versitygw/cmd/versitygw",
			server: &serverSpec{
				accessKey: "vgadmin", secretKey: "vgadmin-secret", region: "us-east-1",
				health:  "/health",
				prepare: func(dir string) error { return os.MkdirAll(filepath.Join(dir, "root"), 0o755) },
				command: func(s *Server) (args, env []string, err error) {
					return []string{"--quiet", "--health", "/health", "--port", s.Endpoint, "posix", filepath.Join(s.Dir, "root")},
						[]string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}, nil
				},
			},
		},
		{
			name: MotoName, version: "5.2.1", groups: []string{groupS3},
			path: "bin/moto_server", python: "moto[server,s3]",
			server: &serverSpec{
				accessKey: "moto", secretKey: "moto-secret", region: "us-east-1", // any are taken
				health: "/moto-api/data.json",
				command: func(s *Server) (args, env []string, err error) {
					host, port, err := splitAddr(s.Endpoint)
					return []string{"-H", host, "-p", port}, nil, err
				},
			},
		},
		{
			name: RcloneName, version: "v1.76.0", groups: []string{groupS3},
			path: "rclone", module: "github.com/rclone/rclone",
		},
	}
}

// Names returns the names of all that can be installed.
func Names() []string {
	var names []string
	for _, p := range programs() {
		names = append(names, p.name)
	}
	return names
}

func find(name string) (program, error) {
	all := programs()
	i := slices.IndexFunc(all, func(p program) bool { return p.name == name })
	if i < 0 {
		return program{}, fmt.Errorf("%q is not known; known are %q", name, Names())
	}
	return all[i], nil
}

// folder is where the program is installed.
func (p *program) folder(cache string) string {
	return filepath.Join(cache, p.name+"-"+p.version)
}

// executable is the file to run.
func (p *program) executable(cache string) string {
	name := filepath.FromSlash(p.path)
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.folder(cache), name)
}

// prepareMinIO makes the data folder and the key of the key service, which must stay the same over restarts.
func prepareMinIO(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, "kms.key")
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	key := make([]byte, 32)
	rand.Read(key)
	return os.WriteFile(name, []byte(kmsKey+":"+base64.StdEncoding.EncodeToString(key)), 0o600)
}
