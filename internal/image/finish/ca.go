package finish

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
)

const (
	caSource = "usr/share/ca-certificates/mozilla"
	caTarget = layout.ShippedEtc + "/ssl/certs"
)

// CertificateAuthorities makes the bundle and, for programs that look up a
// folder, NAME.pem and HASH.N links as openssl-rehash(1) does.
func CertificateAuthorities(t *fstree.Tree) error {
	var bundle bytes.Buffer
	count := map[string]int{}
	for _, n := range filesBelow(t, caSource, ".crt") {
		data, err := n.Blob.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		bundle.Write(bytes.TrimRight(data, "\n"))
		bundle.WriteByte('\n')
		hash, err := subjectHash(data)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		name := strings.TrimSuffix(path.Base(n.Path), ".crt") + ".pem"
		link := fmt.Sprintf("%08x.%d", hash, count[fmt.Sprint(hash)])
		count[fmt.Sprint(hash)]++
		if err := putLink(t, caTarget+"/"+name, "/"+n.Path); err != nil {
			return err
		}
		if err := putLink(t, caTarget+"/"+link, name); err != nil {
			return err
		}
	}
	if bundle.Len() == 0 {
		return nil
	}
	return putFile(t, caTarget+"/ca-certificates.crt", 0o644, bundle.Bytes())
}

// subjectHash is OpenSSL's X509_NAME_hash: the first four bytes, little
// endian, of the SHA-1 of the subject's canonical form.
func subjectHash(certificate []byte) (uint32, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return 0, fmt.Errorf("it is not a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return 0, fmt.Errorf("reading the certificate: %w", err)
	}
	canonical, err := canonicalName(cert.RawSubject)
	if err != nil {
		return 0, fmt.Errorf("reading the subject: %w", err)
	}
	sum := sha1.Sum(canonical)
	return binary.LittleEndian.Uint32(sum[:4]), nil
}

// rawRDN keeps the value of an attribute with its string type.
type rawAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// canonicalName encodes a name without its outer SEQUENCE header: each
// string becomes UTF-8, lower case, without outer and repeated spaces.
func canonicalName(raw []byte) ([]byte, error) {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(raw, &outer); err != nil {
		return nil, err
	}
	var out []byte
	for rest := outer.Bytes; len(rest) > 0; {
		var set asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &set); err != nil {
			return nil, err
		}
		encoded, err := canonicalSet(set.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, encoded...)
	}
	return out, nil
}

func canonicalSet(raw []byte) ([]byte, error) {
	var body []byte
	for len(raw) > 0 {
		var a rawAttribute
		var err error
		if raw, err = asn1.Unmarshal(raw, &a); err != nil {
			return nil, err
		}
		if text, ok := stringValue(a.Value); ok {
			a.Value = asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: []byte(canonicalText(text))}
		}
		one, err := asn1.Marshal(a)
		if err != nil {
			return nil, err
		}
		body = append(body, one...)
	}
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: body})
}

// canonicalText folds case and spaces, of ASCII only.
func canonicalText(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(words, " "))
}

// stringValue decodes the string types that OpenSSL makes canonical.
func stringValue(v asn1.RawValue) (string, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
		return string(v.Bytes), true
	case asn1.TagT61String, asn1.TagBMPString:
		var name pkix.AttributeTypeAndValue // let the library decode these
		whole, err := asn1.Marshal(struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{FullBytes: v.FullBytes}})
		if err == nil {
			_, err = asn1.Unmarshal(whole, &name)
		}
		text, ok := name.Value.(string)
		return text, err == nil && ok
	}
	return "", false
}
