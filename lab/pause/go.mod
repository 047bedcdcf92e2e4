module microservice-operator.io/lab/pause

go 1.26
