package updates

import (
	"regexp"
	"slices"
	"strings"
)

var kbNumber = regexp.MustCompile(`(?i)\bKB[ -]?(\d{5,8})\b`)

// ParseKB returns the number of the knowledge base that a title names last, or
// "": the last one is the update's own where another is mentioned before it.
// Store applications and drivers have none.
func ParseKB(title string) string {
	all := kbNumber.FindAllStringSubmatch(title, -1)
	if len(all) == 0 {
		return ""
	}
	return "KB" + all[len(all)-1][1]
}

// Categories of updates by their number, which is the same in all languages
// (UpdateClassifications of the Windows Server Update Services).
const (
	definitionUpdates = "e0789628-ce08-4437-be74-2495b842f43b"
	securityUpdates   = "0fa1201d-4330-4fa8-8ae9-b877473b6441"
	criticalUpdates   = "e6cf1350-c01b-414d-a61f-263d14d133b4"
)

var classifications = map[string]string{
	definitionUpdates: "definition", securityUpdates: "security", criticalUpdates: "critical",
	"28bc880e-0592-4cbf-8f95-c79b17911d5f": "rollup",
	"cd5ffd1e-e932-4e3a-bf74-18bf0b1bbd83": "update",
	"68c5b0a3-d1a6-4553-ae49-01d3a7827828": "service_pack",
	"b54e7d24-7add-428f-8b75-90a396fa584f": "feature_pack",
	"3689bdc8-b205-4af4-8d4a-a63924c5e9d5": "upgrade",
	"ebfc1fc5-71a4-4f7b-9aca-3b9a503104a0": "driver",
	"b4832bd8-e735-4761-8daf-37f882276dab": "tool",
	"5c9376ab-8ce6-464a-b136-22113dd69801": "application",
}

// definitionKBs are numbers under which definitions come again and again:
// Defender, its platform's intelligence, Endpoint Protection, Forefront.
var definitionKBs = []string{"KB2267602", "KB2461484", "KB915597", "KB2310138"}

// definitionWords are from titles of definition updates in the languages of
// Windows that have been seen to translate them.
var definitionWords = []string{
	"definition update", "security intelligence update", "(definition 1.",
	"definitionsupdate", "definitions-update", "security intelligence-update", "sicherheitsintelligenz-update",
	"mise à jour de définitions", "mise à jour des définitions", "mise à jour de la veille de sécurité", "mise à jour de l’intelligence de sécurité",
	"actualización de definiciones", "actualización de inteligencia de seguridad",
	"aggiornamento delle definizioni", "aggiornamento definizioni", "aggiornamento dell'intelligence di sicurezza",
	"atualização de definição", "atualização de definições", "atualização da inteligência de segurança",
	"definitie-update", "definitieupdate", "update voor beveiligingsinformatie",
	"aktualizacja definicji", "обновление определений", "обновление аналитики безопасности",
	"定義の更新", "セキュリティ インテリジェンス", "定义更新", "安全智能更新", "정의 업데이트", "보안 인텔리전스 업데이트",
}

// isDefinition tells whether an update is one of definitions: by its category
// where that is known, by number and title otherwise.
func isDefinition(categories []string, kb, title string) bool {
	for _, c := range categories {
		if strings.EqualFold(c, definitionUpdates) {
			return true
		}
	}
	if slices.Contains(definitionKBs, kb) {
		return true
	}
	low := strings.ToLower(title)
	return slices.ContainsFunc(definitionWords, func(w string) bool { return strings.Contains(low, w) })
}

// classify returns the word of the first category that is a classification,
// and whether the update is for security.
func classify(categories []string, severity, title string) (word string, security bool) {
	for _, c := range categories {
		if w := classifications[strings.ToLower(c)]; w != "" && word == "" {
			word = w
		}
		security = security || strings.EqualFold(c, securityUpdates)
	}
	// Cumulative updates that hold security fixes are often only rollups, and
	// say in their severity or title what they are.
	return word, security || severity != "" && severity != "Unspecified" || strings.Contains(strings.ToLower(title), "security update")
}
