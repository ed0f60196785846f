// What Kubeflow's API server makes of a compiled pipeline, and what Kubernetes and Argo's controller
// have against that.
//
// Each line of standard input is {"file", "parameters"}; each line of standard output is
// {"error"} or {"workflow"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/argoproj/argo-workflows/v3/workflow/validate"
	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
	"github.com/kubeflow/pipelines/backend/src/apiserver/template"
	"github.com/kubeflow/pipelines/backend/src/common/util"
	"github.com/spf13/viper"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type question struct {
	File       string          `json:"file"`
	Parameters json.RawMessage `json:"parameters"`
}

type answer struct {
	Error    string         `json:"error,omitempty"`
	Workflow *util.Workflow `json:"workflow,omitempty"`
}

func main() {
	viper.Set("DEFAULTPIPELINERUNNERSERVICEACCOUNT", "pipeline-runner")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(compile(asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func compile(asked question) (said answer) {
	// The API server's own handlers recover, too.
	defer func() {
		if reason := recover(); reason != nil {
			said = answer{Error: fmt.Sprintf("API server: panic: %v", reason)}
		}
	}()
	workflow, err := compiled(asked)
	if err != nil {
		return answer{Error: fmt.Sprintf("API server: %v", err)}
	}
	// The API server of Kubernetes knows nothing of a Workflow but this.
	place := field.NewPath("metadata", "annotations")
	if found := validation.ValidateAnnotations(workflow.Annotations, place); len(found) > 0 {
		return answer{Error: fmt.Sprintf("Kubernetes: %v", found.ToAggregate())}
	}
	options := validate.ValidateOpts{Submit: true}
	if _, err := validate.ValidateWorkflow(nil, nil, workflow.Workflow, options); err != nil {
		return answer{Error: fmt.Sprintf("Argo: %v", err)}
	}
	return answer{Workflow: workflow}
}

// As the API server does it for a run.
func compiled(asked question) (*util.Workflow, error) {
	content, err := os.ReadFile(asked.File)
	if err != nil {
		return nil, err
	}
	spec, err := template.New(content)
	if err != nil {
		return nil, err
	}
	run := &model.Run{DisplayName: "run"}
	run.PipelineSpec.RuntimeConfig.Parameters = string(asked.Parameters)
	made, err := spec.RunWorkflow(run, template.RunWorkflowOptions{RunId: "run"})
	if err != nil {
		return nil, err
	}
	workflow, ok := made.(*util.Workflow)
	if !ok {
		return nil, fmt.Errorf("it is a %T", made)
	}
	return workflow, nil
}
