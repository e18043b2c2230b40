package export

// modalities are what goes in and comes out by the name of a task, as
// Hugging Face defines its tasks.
var modalities = map[string]struct{ in, out []string }{
	"text-generation":              {[]string{"text"}, []string{"text"}},
	"text2text-generation":         {[]string{"text"}, []string{"text"}},
	"summarization":                {[]string{"text"}, []string{"text"}},
	"translation":                  {[]string{"text"}, []string{"text"}},
	"fill-mask":                    {[]string{"text"}, []string{"text"}},
	"question-answering":           {[]string{"text"}, []string{"text"}},
	"text-classification":          {[]string{"text"}, []string{"labels"}},
	"token-classification":         {[]string{"text"}, []string{"labels"}},
	"zero-shot-classification":     {[]string{"text"}, []string{"labels"}},
	"sentence-similarity":          {[]string{"text"}, []string{"numbers"}},
	"feature-extraction":           {[]string{"text"}, []string{"vectors"}},
	"text-ranking":                 {[]string{"text"}, []string{"numbers"}},
	"text-to-image":                {[]string{"text"}, []string{"image"}},
	"text-to-video":                {[]string{"text"}, []string{"video"}},
	"text-to-speech":               {[]string{"text"}, []string{"audio"}},
	"text-to-audio":                {[]string{"text"}, []string{"audio"}},
	"automatic-speech-recognition": {[]string{"audio"}, []string{"text"}},
	"audio-classification":         {[]string{"audio"}, []string{"labels"}},
	"audio-text-to-text":           {[]string{"audio", "text"}, []string{"text"}},
	"image-classification":         {[]string{"image"}, []string{"labels"}},
	"object-detection":             {[]string{"image"}, []string{"labels"}},
	"image-to-text":                {[]string{"image"}, []string{"text"}},
	"image-to-image":               {[]string{"image"}, []string{"image"}},
	"image-text-to-text":           {[]string{"image", "text"}, []string{"text"}},
	"visual-question-answering":    {[]string{"image", "text"}, []string{"text"}},
	"video-text-to-text":           {[]string{"video", "text"}, []string{"text"}},
	"video-classification":         {[]string{"video"}, []string{"labels"}},
}

// modality is what goes in and comes out by the task that the card names; nil
// when it names none or one that does not say.
func (s *subject) modality() (in, out []string) {
	m := modalities[s.facts.Card.Pipeline]
	return m.in, m.out
}
