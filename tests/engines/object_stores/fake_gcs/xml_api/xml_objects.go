// What Google Cloud Storage's XML API has and fake-gcs-server has not, as the client that Levada
// uses (the Rust crate object_store) speaks nothing else: objects are written with conditions,
// copied, and uploaded in parts, and a listing has pages and an offset.
// https://cloud.google.com/storage/docs/xml-api/reference-methods
package fakestorage

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fsouza/fake-gcs-server/internal/backend"
	"github.com/gorilla/mux"
)

// A listing of the real service has at most as many names in a page.
const xmlPage = 1000

// An upload in parts: the headers of its first request, and what came since.
type xmlUpload struct {
	sync.Mutex
	header http.Header
	parts  map[int][]byte
}

var (
	xmlUploads     sync.Map
	xmlUploadCount atomic.Int64
)

// addXMLObjects adds routes before those of the server: the first that matches is taken.
func (s *Server) addXMLObjects(handler *mux.Router) {
	bucket := handler.MatcherFunc(s.publicHostMatcher).Path("/{bucketName}").Subrouter()
	bucket.Methods(http.MethodGet).HandlerFunc(s.xmlListPage)
	objects := "/{bucketName}/{objectName:.+}"
	on := func() *mux.Route { return handler.MatcherFunc(s.publicHostMatcher).MatcherFunc(isXML).Path(objects) }
	on().Methods(http.MethodPost).Queries("uploads", "").HandlerFunc(s.xmlStartUpload)
	on().Methods(http.MethodPut).Queries("uploadId", "{upload}").HandlerFunc(s.xmlPutPart)
	on().Methods(http.MethodPost).Queries("uploadId", "{upload}").HandlerFunc(s.xmlCompleteUpload)
	on().Methods(http.MethodDelete).Queries("uploadId", "{upload}").HandlerFunc(s.xmlAbortUpload)
	on().Methods(http.MethodPut).HandlerFunc(s.xmlPutObject)
}

// isXML says whether a request is none of the JSON API and no signed URL, which the server knows.
func isXML(r *http.Request, _ *mux.RouteMatch) bool {
	for _, prefix := range []string{"/storage/v1/", "/upload/", "/download/", "/batch/", "/_internal/"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return false
		}
	}
	query := r.URL.Query()
	return !query.Has("uploadType") && !query.Has("X-Goog-Algorithm") && r.Header.Get("X-Goog-Upload-Protocol") == ""
}

func (s *Server) xmlPutObject(w http.ResponseWriter, r *http.Request) {
	source := r.Header.Get("X-Goog-Copy-Source")
	if source == "" {
		s.xmlCreate(w, r, r.Header, r.Body, "")
		return
	}
	bucketName, name, _ := strings.Cut(unescapeMuxVars(map[string]string{"source": source})["source"], "/")
	object, err := s.GetObjectStreaming(bucketName, name)
	if err != nil {
		xmlError(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	defer object.Close()
	s.xmlCreate(w, r, r.Header, object.Content, "<CopyObjectResult/>")
}

// xmlCreate makes the object of the request's path if the header's condition holds, and answers;
// it says whether it made one.
func (s *Server) xmlCreate(w http.ResponseWriter, r *http.Request, header http.Header, body io.Reader, answer string) bool {
	vars := unescapeMuxVars(mux.Vars(r))
	if _, err := s.backend.GetBucket(vars["bucketName"]); err != nil {
		xmlError(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.")
		return false
	}
	// Read here: the server would do it while it holds the lock that all requests want.
	data, err := io.ReadAll(body)
	if err != nil {
		xmlError(w, http.StatusBadRequest, "IncompleteBody", err.Error())
		return false
	}
	conditions := generationCondition{}
	if wanted := header.Get("X-Goog-If-Generation-Match"); wanted != "" {
		generation, err := strconv.ParseInt(wanted, 10, 64)
		if err != nil {
			xmlError(w, http.StatusBadRequest, "InvalidArgument", err.Error())
			return false
		}
		conditions.ifGenerationMatch = &generation
	}
	metadata := make(map[string]string)
	for key := range header {
		if name, found := strings.CutPrefix(strings.ToLower(key), "x-goog-meta-"); found {
			metadata[name] = header.Get(key)
		}
	}
	object, err := s.createObject(StreamingObject{
		ObjectAttrs: ObjectAttrs{
			BucketName:         vars["bucketName"],
			Name:               vars["objectName"],
			ContentType:        header.Get(contentTypeHeader),
			ContentEncoding:    header.Get(contentEncodingHeader),
			CacheControl:       header.Get(cacheControlHeader),
			ContentDisposition: header.Get(contentDispositionHeader),
			ContentLanguage:    header.Get(contentLanguageHeader),
			ACL:                getObjectACL(""),
			Metadata:           metadata,
		},
		Content: notImplementedSeeker{io.NopCloser(bytes.NewReader(data))},
	}, conditions)
	if err == backend.PreConditionFailed {
		xmlError(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
		return false
	}
	if err != nil {
		xmlError(w, http.StatusInternalServerError, "InternalError", err.Error())
		return false
	}
	defer object.Close()
	w.Header().Set("ETag", fmt.Sprintf("%q", object.Etag))
	w.Header().Set("X-Goog-Generation", strconv.FormatInt(object.Generation, 10))
	io.WriteString(w, strings.ReplaceAll(answer, "{etag}", object.Etag))
	return true
}

func (s *Server) xmlStartUpload(w http.ResponseWriter, r *http.Request) {
	id := strconv.FormatInt(xmlUploadCount.Add(1), 10)
	xmlUploads.Store(id, &xmlUpload{header: r.Header.Clone(), parts: make(map[int][]byte)})
	fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
}

func xmlUploadOf(w http.ResponseWriter, r *http.Request) (*xmlUpload, bool) {
	found, ok := xmlUploads.Load(r.URL.Query().Get("uploadId"))
	if !ok {
		xmlError(w, http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist.")
		return nil, false
	}
	return found.(*xmlUpload), true
}

func (s *Server) xmlPutPart(w http.ResponseWriter, r *http.Request) {
	upload, ok := xmlUploadOf(w, r)
	if !ok {
		return
	}
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if err != nil {
		xmlError(w, http.StatusBadRequest, "InvalidArgument", err.Error())
		return
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		xmlError(w, http.StatusBadRequest, "IncompleteBody", err.Error())
		return
	}
	upload.Lock()
	defer upload.Unlock()
	upload.parts[number] = data
	w.Header().Set("ETag", fmt.Sprintf(`"part-%d"`, number))
}

func (s *Server) xmlCompleteUpload(w http.ResponseWriter, r *http.Request) {
	upload, ok := xmlUploadOf(w, r)
	if !ok {
		return
	}
	var asked struct {
		Parts []struct{ PartNumber int } `xml:"Part"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
		xmlError(w, http.StatusBadRequest, "MalformedXML", err.Error())
		return
	}
	upload.Lock()
	defer upload.Unlock()
	var parts []io.Reader
	for _, part := range asked.Parts {
		data, ok := upload.parts[part.PartNumber]
		if !ok {
			xmlError(w, http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
			return
		}
		parts = append(parts, bytes.NewReader(data))
	}
	header := upload.header.Clone()
	// The condition may come with the last request, too.
	if wanted := r.Header.Get("X-Goog-If-Generation-Match"); wanted != "" {
		header.Set("X-Goog-If-Generation-Match", wanted)
	}
	answer := `<CompleteMultipartUploadResult><ETag>"{etag}"</ETag></CompleteMultipartUploadResult>`
	if s.xmlCreate(w, r, header, io.MultiReader(parts...), answer) {
		xmlUploads.Delete(r.URL.Query().Get("uploadId"))
	}
}

func (s *Server) xmlAbortUpload(w http.ResponseWriter, r *http.Request) {
	if _, ok := xmlUploadOf(w, r); ok {
		xmlUploads.Delete(r.URL.Query().Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	}
}

// xmlListPage answers a page of names, after `start-after` or after the last of the page before.
func (s *Server) xmlListPage(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	found, err := s.ListObjectsWithOptionsPaginated(
		unescapeMuxVars(mux.Vars(r))["bucketName"],
		ListOptions{Prefix: query.Get("prefix"), Delimiter: query.Get("delimiter")},
	)
	if err != nil {
		xmlError(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.")
		return
	}
	limit := xmlPage
	if asked, err := strconv.Atoi(query.Get("max-keys")); err == nil && asked < limit {
		limit = asked
	}
	after := max(query.Get("start-after"), query.Get("continuation-token"))
	page := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []Contents
		CommonPrefixes        []CommonPrefix
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
	}{}
	last := ""
	// Both lists are sorted; a page takes from them in the order of names.
	objects, prefixes := found.Objects, found.Prefixes
	for len(objects)+len(prefixes) > 0 {
		isPrefix := len(objects) == 0 || len(prefixes) > 0 && prefixes[0] < objects[0].Name
		name := ""
		if isPrefix {
			name = prefixes[0]
		} else {
			name = objects[0].Name
		}
		if name > after {
			if len(page.Contents)+len(page.CommonPrefixes) == limit {
				page.IsTruncated, page.NextContinuationToken = true, last
				break
			}
			last = name
		}
		if isPrefix {
			if name > after {
				page.CommonPrefixes = append(page.CommonPrefixes, CommonPrefix{Prefix: name})
			}
			prefixes = prefixes[1:]
			continue
		}
		if name > after {
			object := objects[0]
			page.Contents = append(page.Contents, Contents{
				Key:          name,
				Generation:   object.Generation,
				LastModified: object.Updated.UTC().Format("2006-01-02T15:04:05.000Z"),
				ETag:         ETag{Value: fmt.Sprintf("%q", object.Etag)},
				Size:         object.Size,
			})
		}
		objects = objects[1:]
	}
	w.Header().Set("Content-Type", "application/xml")
	xml.NewEncoder(w).Encode(page)
}

func xmlError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>", code)
	xml.EscapeText(w, []byte(message))
	fmt.Fprint(w, "</Message></Error>")
}
