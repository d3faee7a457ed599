package s3

import (
	"bytes"
	"io"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// BenchmarkChecksum is what a checksum costs beside the sending.
func BenchmarkChecksum(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	for _, sum := range []Checksum{MD5, CRC32C, SHA256} {
		b.Run(sum.String(), func(b *testing.B) {
			d := &driver{cfg: Config{Checksum: sum}}
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, err := d.checksum(b.Context(), io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkPutPart puts parts of 64 MiB into MinIO, and does the same with minio-go alone.
func BenchmarkPutPart(b *testing.B) {
	s := servers.MinIO(b)
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	for _, sum := range []Checksum{None, CRC32C} {
		b.Run("driver "+sum.String(), func(b *testing.B) {
			cfg := place(b, s, MinIO)
			cfg.Checksum = sum
			d := open(b, cfg)
			u, err := d.Begin(b.Context(), objstore.Upload{Key: "k"}, objstore.PutOptions{})
			require.NoError(b, err)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, err := d.PutPart(b.Context(), u, objstore.PartSpec{}, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
				require.NoError(b, err)
			}
		})
	}
	b.Run("minio-go", func(b *testing.B) {
		cfg := place(b, s, MinIO)
		c, err := minio.NewCore(cfg.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region})
		require.NoError(b, err)
		id, err := c.NewMultipartUpload(b.Context(), cfg.Bucket, "k", minio.PutObjectOptions{})
		require.NoError(b, err)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			_, err := c.PutObjectPart(b.Context(), cfg.Bucket, "k", id, 1, bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{DisableContentSha256: true})
			require.NoError(b, err)
		}
	})
}

// BenchmarkRead reads 64 MiB from MinIO, and does the same with minio-go alone.
func BenchmarkRead(b *testing.B) {
	s := servers.MinIO(b)
	const size = 64 << 20
	cfg := place(b, s, MinIO)
	d := open(b, cfg)
	_, err := d.Put(b.Context(), "k", io.NewSectionReader(bytes.NewReader(make([]byte, size)), 0, size), objstore.PutOptions{})
	require.NoError(b, err)
	buf := make([]byte, size)
	b.Run("driver", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			r, _, err := d.Read(b.Context(), "k", 0, size, "")
			require.NoError(b, err)
			_, err = io.ReadFull(r, buf)
			require.NoError(b, err)
			require.NoError(b, r.Close())
		}
	})
	b.Run("minio-go", func(b *testing.B) {
		c, err := minio.NewCore(cfg.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region})
		require.NoError(b, err)
		b.SetBytes(size)
		for b.Loop() {
			var o minio.GetObjectOptions
			require.NoError(b, o.SetRange(0, size-1))
			r, _, _, err := c.GetObject(b.Context(), cfg.Bucket, "k", o)
			require.NoError(b, err)
			_, err = io.ReadFull(r, buf)
			require.NoError(b, err)
			require.NoError(b, r.Close())
		}
	})
}
